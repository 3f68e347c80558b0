#!/usr/bin/python
"""Ansible module kubernetes_storage_verify."""

from __future__ import annotations

DOCUMENTATION = """
module: kubernetes_storage_verify
short_description: Prove that volumes of a storage class keep what pods write
description:
  - Claims a small volume, writes a file in one pod, and reads it in the next; for a shared class in a pod of each node.
  - The pods' namespace and the volume go at the end, also after a failure or an interruption; leftovers go first.
  - Returns checks and does not fail because of them. Never counts as a change.
options:
  storage_class:
    description: The class to prove.
    type: str
    required: true
  shared:
    description: Whether pods of all nodes see the same files, C(ReadWriteMany).
    type: bool
    default: false
  nodes:
    description: The names of the nodes to prove; the first one writes.
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
    default: groundwork-verify-storage
  kubeconfig:
    description: The way to the API server.
    type: path
    default: /var/snap/microk8s/current/credentials/client.config
  timeout_seconds:
    description: How long each step may take; pulling the images is part of the first.
    type: float
    default: 120
notes:
  - Needs the kubernetes package beside the interpreter.
author: Groundwork
"""

EXAMPLES = """
- name: Prove the class for local disks
  kubernetes_storage_verify:
    storage_class: local
    nodes: [n1]
  register: __shared_storage_proof
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"
"""

RETURN = """
checks:
  description: C(kubernetes_storage.outlives_its_pod), or C(kubernetes_storage.shared_between_nodes) of a shared class.
  returned: success
  type: list
  elements: dict
  sample:
    - {name: kubernetes_storage.outlives_its_pod, status: ok, observed: "local: written on n1, read on n1",
      wanted: a file is written by one pod and read by the next, remedy: ""}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork import proofs
from ansible.module_utils.groundwork.kubernetes.cluster import PROGRAM, Client
from ansible.module_utils.groundwork.kubernetes.storage import Wanted, prove
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.waiting import Waiter


def main() -> None:
    """Prove and exit."""
    module = AnsibleModule(
        argument_spec={
            "storage_class": {"type": "str", "required": True},
            "shared": {"type": "bool", "default": False},
            "nodes": {"type": "list", "elements": "str", "required": True},
            "image": {"type": "str", "default": "docker.io/library/python:3.11-slim-bookworm"},
            **proofs.OPTIONS,
            "namespace": {"type": "str", "default": "groundwork-verify-storage"},
            "kubeconfig": {"type": "path", "default": "/var/snap/microk8s/current/credentials/client.config"},
            "timeout_seconds": {"type": "float", "default": 120.0},
        },
        supports_check_mode=True,
    )
    given = module.params
    names = ("storage_class", "shared", "nodes", "image", "namespace")

    def work() -> dict[str, object]:
        if not given["nodes"]:
            return {"checks": []}
        cluster = Client(given["kubeconfig"], PROGRAM)
        wanted = Wanted(**{name: given[name] for name in names})
        checks = proofs.ask(module, [wanted.name], lambda: prove(cluster, wanted, Waiter(given["timeout_seconds"])))
        return {"checks": [check.to_dict() for check in checks]}

    finish(module, work)


if __name__ == "__main__":
    main()
