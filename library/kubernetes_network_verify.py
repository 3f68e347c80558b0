#!/usr/bin/python
"""Ansible module kubernetes_network_verify."""

from __future__ import annotations

DOCUMENTATION = """
module: kubernetes_network_verify
short_description: Prove that pods reach pods, Services and names across nodes, and that a NetworkPolicy blocks
description:
  - Runs a server on every node named and one client, and lets them ask each other.
  - The pods' namespace goes at the end, also after a failure or an interruption; leftovers go first.
  - Returns checks and does not fail because of them. Never counts as a change.
options:
  nodes:
    description: The names of the nodes to prove.
    type: list
    elements: str
    required: true
  image:
    description: An image with C(python3); what it runs comes from this module.
    type: str
    default: docker.io/library/python:3.11-slim-bookworm
  proofs:
    description:
      - When to run pods, C(always), where what is proved C(changed) since the last proof that held, or C(never).
      - What is not proved is skipped, or as C(proof_file) tells. In check mode it is never.
    type: str
    choices: [always, changed, never]
    default: always
  proof_file:
    description: Where the last proof that held is remembered; without it none is.
    type: path
  proof_subject:
    description: What else the proof is about; a change of it asks for a new one.
    type: raw
  namespace:
    description: The namespace for the pods; it must not exist, or be Groundwork's.
    type: str
    default: groundwork-verify-network
  kubeconfig:
    description: The way to the API server.
    type: path
    default: /var/snap/microk8s/current/credentials/client.config
  timeout_seconds:
    description: How long each condition may take to come about; pulling the image is part of the first.
    type: float
    default: 120
notes:
  - Needs the kubernetes package beside the interpreter.
author: Groundwork
"""

EXAMPLES = """
- name: Prove the network of pods
  kubernetes_network_verify:
    nodes: [n1, n2, n3]
  register: __microk8s_cluster_network
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"
"""

RETURN = """
checks:
  description:
    - C(kubernetes_network.pods_reach_pods_across_nodes), C(kubernetes_network.service_by_name_across_nodes),
      C(kubernetes_network.policy_blocks) and C(kubernetes_network.policy_allows).
  returned: success
  type: list
  elements: dict
  sample:
    - {name: kubernetes_network.policy_allows, status: ok, observed: the request passes,
      wanted: a NetworkPolicy that allows the client lets it pass, remedy: ""}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork import proofs
from ansible.module_utils.groundwork.kubernetes.cluster import PROGRAM, Client
from ansible.module_utils.groundwork.kubernetes.network import PROVED, Wanted, prove
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.waiting import Waiter


def main() -> None:
    """Prove and exit."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "str", "required": True},
            "image": {"type": "str", "default": "docker.io/library/python:3.11-slim-bookworm"},
            **proofs.OPTIONS,
            "namespace": {"type": "str", "default": "groundwork-verify-network"},
            "kubeconfig": {"type": "path", "default": "/var/snap/microk8s/current/credentials/client.config"},
            "timeout_seconds": {"type": "float", "default": 120.0},
        },
        supports_check_mode=True,
    )
    given = module.params

    def work() -> dict[str, object]:
        if not given["nodes"]:
            return {"checks": []}
        cluster = Client(given["kubeconfig"], PROGRAM)
        wanted = Wanted(given["nodes"], given["image"], given["namespace"])
        checks = proofs.ask(module, PROVED, lambda: prove(cluster, wanted, Waiter(given["timeout_seconds"])))
        return {"checks": [check.to_dict() for check in checks]}

    finish(module, work)


if __name__ == "__main__":
    main()
