#!/usr/bin/python
"""Ansible module prometheus_verify."""

from __future__ import annotations

DOCUMENTATION = """
module: prometheus_verify
short_description: Judge whether Prometheus measures every node and GPU
description:
  - Asks Prometheus through its Service, with the password out of its Secret, for its targets, GPUs, rules and alerts.
  - Requests without a password must be refused, by Prometheus, by its port on the nodes, and by the nodes' exporters.
  - Returns checks and does not fail because of them. Never counts as a change.
options:
  nodes:
    description: The cluster's nodes.
    type: list
    elements: str
    required: true
  gpus:
    description: The UUIDs of GPUs that NVML sees, by the node's name.
    type: dict
    required: true
  namespace:
    description: The namespace of Prometheus.
    type: str
    default: monitoring
  kubeconfig:
    description: The way to the API server.
    type: path
    default: /var/snap/microk8s/current/credentials/client.config
notes:
  - Needs the kubernetes package beside the interpreter, and a host that reaches the cluster's Services.
author: Groundwork
"""

EXAMPLES = """
- name: Ask Prometheus what it measures
  prometheus_verify:
    nodes: [n1, n2]
    gpus:
      n2: [GPU-1f0e8bd5-1c9e-5cb5-9d4c-0d5c51a5b0a1]
  register: __monitoring_verified
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"
"""

RETURN = """
checks:
  description:
    - C(monitoring.answers), C(monitoring.asks_who_is_there), C(monitoring.targets_are_up),
      C(monitoring.gpus_are_measured), C(monitoring.rules_evaluate) and C(monitoring.no_alert_fires).
  returned: success
  type: list
  elements: dict
  sample:
    - {name: monitoring.gpus_are_measured, status: ok, observed: 4 GPUs, wanted: every GPU that NVML shows, remedy: ""}
version:
  description: Prometheus's version, empty where it does not answer.
  returned: success
  type: str
  sample: 3.13.2
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes.cluster import PROGRAM, Client
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.prometheus.client import find
from ansible.module_utils.groundwork.prometheus.verify import Wanted, unanswered, verify


def main() -> None:
    """Ask and exit."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "str", "required": True},
            "gpus": {"type": "dict", "required": True},
            "namespace": {"type": "str", "default": "monitoring"},
            "kubeconfig": {"type": "path", "default": "/var/snap/microk8s/current/credentials/client.config"},
        },
        supports_check_mode=True,
    )
    given = module.params

    def work() -> dict[str, object]:
        cluster = Client(given["kubeconfig"], PROGRAM)
        try:
            prometheus = find(cluster, given["namespace"])
        except GroundworkError as error:
            return {"checks": [check.to_dict() for check in unanswered(error)], "version": ""}
        checks = verify(prometheus, Wanted(given["nodes"], given["gpus"]))
        version = checks[0].observed.removeprefix("Prometheus ") if checks[0].status == "ok" else ""
        return {"checks": [check.to_dict() for check in checks], "version": version}

    finish(module, work)


if __name__ == "__main__":
    main()
