#!/usr/bin/python
"""Ansible module kubernetes_support_info."""

from __future__ import annotations

DOCUMENTATION = """
module: kubernetes_support_info
short_description: What a support bundle has to ask this cluster
description:
  - Lists the commands that tell of what is not ready, of our namespaces and of the logs of their pods.
  - Asks for no Secret, and has none asked for. Never changes anything.
options:
  kubectl:
    description: The words before each question, which name kubectl and its kubeconfig.
    type: list
    elements: str
    required: true
  namespaces:
    description: Namespaces that are taken for ours beside those that have our label.
    type: list
    elements: str
    default: []
  log_lines:
    description: How many lines of each container's log.
    type: int
    default: 5000
  kubeconfig:
    description: The way to the API server.
    type: path
    default: /var/snap/microk8s/current/credentials/client.config
notes:
  - Needs the kubernetes package beside the interpreter.
author: Groundwork
"""

EXAMPLES = """
- name: Find what to ask the cluster
  kubernetes_support_info:
    kubectl: [/snap/microk8s/current/kubectl, --kubeconfig=/var/snap/microk8s/current/credentials/client.config]
    namespaces: [kube-system]
  register: __support_bundle_cluster
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"
"""

RETURN = """
wanted:
  description: What M(support_collect) is to collect.
  returned: success
  type: list
  elements: dict
  sample: [{name: not-ready/pod-ray-head.txt, argv: [kubectl, describe, pod, --namespace, ray, head]}]
namespaces:
  description: Our namespaces.
  returned: success
  type: list
  elements: str
  sample: [kube-system, ray]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.kubernetes.cluster import PROGRAM, Client
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.support.cluster import observe, plan


def main() -> None:
    """Observe, plan and exit."""
    module = AnsibleModule(
        argument_spec={
            "kubectl": {"type": "list", "elements": "str", "required": True},
            "namespaces": {"type": "list", "elements": "str", "default": []},
            "log_lines": {"type": "int", "default": 5000},
            "kubeconfig": {"type": "path", "default": "/var/snap/microk8s/current/credentials/client.config"},
        },
        supports_check_mode=True,
    )
    given = module.params

    def work() -> dict[str, object]:
        state = observe(Client(given["kubeconfig"], PROGRAM), given["namespaces"])
        questions = plan(state, given["log_lines"])
        wanted = [{"name": question.name, "argv": [*given["kubectl"], *question.words]} for question in questions]
        return {"wanted": wanted, "namespaces": list(state.namespaces)}

    finish(module, work)


if __name__ == "__main__":
    main()
