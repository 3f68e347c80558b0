#!/usr/bin/python
"""Ansible module kubernetes_secret."""

from __future__ import annotations

DOCUMENTATION = """
module: kubernetes_secret
short_description: Keep a Secret, some of whose texts are made once
description:
  - Texts that are given are as given. Texts that are made are random where there are none, and stay ever after.
  - Keys that are not named stay. Use it with C(no_log), since it returns the texts.
options:
  namespace:
    description: The Secret's namespace, which must exist.
    type: str
    required: true
  name:
    description: The Secret's name.
    type: str
    required: true
  type:
    description: The Secret's type, which Kubernetes lets nobody change.
    type: str
    default: Opaque
  labels:
    description: Labels that it has beside those of others.
    type: dict
    default: {}
  given:
    description: Texts by key.
    type: dict
    default: {}
  made:
    description: Keys whose text is made where it is missing. One that is given too is as given, unless that is empty.
    type: list
    elements: str
    default: []
  kubeconfig:
    description: The way to the API server.
    type: path
    default: /var/snap/microk8s/current/credentials/client.config
notes:
  - Needs the kubernetes package beside the interpreter.
author: Groundwork
"""

EXAMPLES = """
- name: Ensure the object store has its administrator's key
  kubernetes_secret:
    namespace: object-store
    name: object-store-root
    given: {access_key: groundwork}
    made: [secret_key]
  register: __object_store_root
  no_log: true
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"
"""

RETURN = """
texts:
  description: The texts of the keys that were named; a text that check mode would make is empty.
  returned: success
  type: dict
  sample: {access_key: groundwork, secret_key: ""}
actions:
  description: What was done, C(create) or C(replace), and why.
  returned: success
  type: list
  elements: str
  sample: ["create: it is not there"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.kubernetes.cluster import PROGRAM, Client
from ansible.module_utils.groundwork.kubernetes.secret import Wanted, apply, observe, plan
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Observe, plan, apply and exit."""
    module = AnsibleModule(
        argument_spec={
            "namespace": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "type": {"type": "str", "default": "Opaque"},
            "labels": {"type": "dict", "default": {}},
            "given": {"type": "dict", "default": {}},
            "made": {"type": "list", "elements": "str", "default": []},
            "kubeconfig": {"type": "path", "default": "/var/snap/microk8s/current/credentials/client.config"},
        },
        supports_check_mode=True,
    )
    given = module.params

    def work() -> dict[str, object]:
        cluster = Client(given["kubeconfig"], PROGRAM)
        texts = {key: str(text) for key, text in given["given"].items() if str(text) or key not in given["made"]}
        wanted = Wanted(given["namespace"], given["name"], texts, given["made"], given["type"], given["labels"])
        found = observe(cluster, wanted.path)
        planned = plan(found, wanted)
        known = planned.texts
        if planned.action and not module.check_mode:
            known = apply(cluster, wanted, found, planned)
        return {
            "changed": bool(planned.action),
            "actions": [str(planned)] if planned.action else [],
            "texts": dict(known),
        }

    finish(module, work)


if __name__ == "__main__":
    main()
