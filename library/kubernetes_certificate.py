#!/usr/bin/python
"""Ansible module kubernetes_certificate."""

from __future__ import annotations

DOCUMENTATION = """
module: kubernetes_certificate
short_description: Keep a Secret with a server's certificate, signed by the site's own authority
description:
  - >-
    Makes the authority once, the Secret C(site-ca) of namespace C(kube-system). A site that has one puts it there
    before, as C(tls.crt) and C(tls.key).
  - >-
    Makes the certificate where there is none, where it lacks a name, is not the authority's, or ends within 60 days.
    It lasts a year.
  - Keys stay in the cluster; none is returned.
options:
  namespace:
    description: The Secret's namespace, which must exist.
    type: str
    required: true
  name:
    description: The Secret's name. It is of type C(kubernetes.io/tls), with the authority's certificate as C(ca.crt).
    type: str
    required: true
  names:
    description: DNS names and addresses of the server.
    type: list
    elements: str
    required: true
  labels:
    description: Labels of a Secret that is made, beside ours.
    type: dict
    default: {}
  authority_name:
    description: The name that a new authority has for people.
    type: str
    default: Groundwork CA
  kubeconfig:
    description: The way to the API server.
    type: path
    default: /var/snap/microk8s/current/credentials/client.config
notes:
  - Needs the packages kubernetes and cryptography beside the interpreter.
author: Groundwork
"""

EXAMPLES = """
- name: Ensure Prometheus has a certificate
  kubernetes_certificate:
    namespace: monitoring
    name: prometheus-tls
    names: [prometheus.monitoring.svc, 10.0.0.11]
  register: __monitoring_certificate
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"
"""

RETURN = """
authority:
  description: The authority's certificate, in PEM; empty in check mode where it would be made.
  returned: success
  type: str
  sample: "-----BEGIN CERTIFICATE-----…"
digest:
  description: Changes with the certificate, for servers that read it once; empty where there is none.
  returned: success
  type: str
  sample: 5feceb66ffc86f38
actions:
  description: What was done, and why.
  returned: success
  type: list
  elements: str
  sample: ["sign: it does not name 10.0.0.14"]
"""

import hashlib

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.kubernetes.certificate import Wanted, apply, observe, plan
from ansible.module_utils.groundwork.kubernetes.cluster import PROGRAM, Client
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Observe, plan, apply and exit."""
    module = AnsibleModule(
        argument_spec={
            "namespace": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "labels": {"type": "dict", "default": {}},
            "authority_name": {"type": "str", "default": "Groundwork CA"},
            "kubeconfig": {"type": "path", "default": "/var/snap/microk8s/current/credentials/client.config"},
        },
        supports_check_mode=True,
    )
    given = module.params

    def work() -> dict[str, object]:
        cluster = Client(given["kubeconfig"], PROGRAM)
        wanted = Wanted(given["namespace"], given["name"], given["names"], given["authority_name"], given["labels"])
        found = observe(cluster, wanted)
        planned = plan(found, wanted)
        authority = found.authority.certificate if found.authority else ""
        if planned.actions and not module.check_mode:
            authority = apply(cluster, wanted, found, planned)
            found = observe(cluster, wanted)
        digest = hashlib.sha256(found.server.certificate.encode()).hexdigest()[:16] if found.server else ""
        return {"changed": bool(planned.actions), "actions": planned.actions, "authority": authority, "digest": digest}

    finish(module, work)


if __name__ == "__main__":
    main()
