#!/usr/bin/python
"""Ansible module kubernetes_basic_auth."""

from __future__ import annotations

DOCUMENTATION = """
module: kubernetes_basic_auth
short_description: Keep a Secret with a password that is made once, and its hash for Prometheus's programs
description:
  - Makes a random password where there is none. One that is there stays, unless another one is given.
  - >-
    The Secret has C(username), C(password), and C(web.yml), a C(--web.config.file) with the password's bcrypt hash and
    the certificate's place.
  - Use it with C(no_log), since it returns the password.
options:
  namespace:
    description: The Secret's namespace, which must exist.
    type: str
    required: true
  name:
    description: The Secret's name.
    type: str
    required: true
  username:
    description: The user's name.
    type: str
    required: true
  password:
    description: The password; empty means the one that is there, or a new one.
    type: str
    default: ""
  certificate:
    description: The folder of C(tls.crt) and C(tls.key) where the program runs; empty for one that does not encrypt.
    type: str
    default: ""
  kubeconfig:
    description: The way to the API server.
    type: path
    default: /var/snap/microk8s/current/credentials/client.config
notes:
  - Needs the kubernetes package beside the interpreter.
author: Groundwork
"""

EXAMPLES = """
- name: Ensure Prometheus has a password
  kubernetes_basic_auth:
    namespace: monitoring
    name: prometheus-web
    username: groundwork
  register: __monitoring_web
  no_log: true
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"
"""

RETURN = """
username:
  description: The user's name.
  returned: success
  type: str
  sample: groundwork
password:
  description: The password, unless it was given; empty in check mode where one would be made.
  returned: success
  type: str
  sample: ""
actions:
  description: What was done, C(create) or C(replace), and why.
  returned: success
  type: list
  elements: str
  sample: ["create: it is not there"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.kubernetes.basic_auth import Wanted, apply, observe, plan
from ansible.module_utils.groundwork.kubernetes.cluster import PROGRAM, Client
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Observe, plan, apply and exit."""
    module = AnsibleModule(
        argument_spec={
            "namespace": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "default": "", "no_log": True},
            "certificate": {"type": "str", "default": ""},
            "kubeconfig": {"type": "path", "default": "/var/snap/microk8s/current/credentials/client.config"},
        },
        supports_check_mode=True,
    )
    given = module.params

    def work() -> dict[str, object]:
        cluster = Client(given["kubeconfig"], PROGRAM)
        keys = ("namespace", "name", "username", "password", "certificate")
        wanted = Wanted(*(given[key] for key in keys))
        found = observe(cluster, wanted)
        planned = plan(found, wanted)
        password = planned.password
        if planned.action and not module.check_mode:
            password = apply(cluster, wanted, found, planned)
        actions = [f"{planned.action}: {planned.reason}"] if planned.action else []
        return {"changed": bool(actions), "actions": actions, "username": wanted.username, "password": password}

    finish(module, work)


if __name__ == "__main__":
    main()
