#!/usr/bin/python
"""Ansible module kubernetes_gpu_verify."""

from __future__ import annotations

DOCUMENTATION = """
module: kubernetes_gpu_verify
short_description: Prove that Kubernetes gives pods the GPUs that NVML sees
description:
  - Compares each node's allocatable GPUs and MIG devices with what NVML sees on its host, by resource.
  - Runs a pod for every free one, all at once. Each must see exactly one, all different, together NVML's list.
  - Of each resource one pod more must wait, and the scheduler must say why.
  - GPUs in use are reported as in use and never waited for.
  - Pods with GPUs that a kubelet turned away are named.
  - The pods have the lowest priority and give way to everybody.
  - The pods' namespace goes at the end, also after a failure or an interruption; leftovers go first.
  - Returns checks and does not fail because of them. Never counts as a change.
options:
  nodes:
    description: The UUIDs that NVML sees, by the node's name and the resource, C(resources) of M(nvidia_gpu_info).
    type: dict
    required: true
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
  image:
    description: An image with C(python3); what it runs comes from this module.
    type: str
    default: docker.io/library/python:3.11-slim-bookworm
  runtime_class:
    description: The RuntimeClass of the pods; none is needed where the device plugin hands out CDI devices.
    type: str
    default: ""
  cordoned:
    description: Whether pods run on nodes that are cordoned too, as while these are being changed.
    type: bool
    default: false
  namespace:
    description: The namespace for the pods; it must not exist, or be Groundwork's.
    type: str
    default: groundwork-verify
  kubeconfig:
    description: The way to the API server.
    type: path
    default: /var/snap/microk8s/current/credentials/client.config
  timeout_seconds:
    description: How long each step may take; pulling the image is part of the first.
    type: float
    default: 180
notes:
  - Needs the kubernetes package beside the interpreter.
author: Groundwork
"""

EXAMPLES = """
- name: Prove the GPUs
  kubernetes_gpu_verify:
    nodes:
      n2:
        nvidia.com/gpu: [GPU-1f0e8bd5-1c9e-5cb5-9d4c-0d5c51a5b0a1]
        nvidia.com/mig-3g.40gb: [MIG-41b3a1f2-5d0e-5f3c-8d6b-3e1f0a9c7b52]
  register: __gpu_device_plugin_proof
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"
"""

RETURN = """
checks:
  description:
    - C(kubernetes_gpu.allocatable_equals_nvml), C(kubernetes_gpu.pods_are_admitted),
      C(kubernetes_gpu.all_gpus_could_be_proved), C(kubernetes_gpu.pods_see_their_gpu) and
      C(kubernetes_gpu.one_more_waits).
  returned: success
  type: list
  elements: dict
  sample:
    - {name: kubernetes_gpu.one_more_waits, status: ok,
      observed: "n2: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
      wanted: stays Pending with the scheduler's reason, remedy: ""}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork import proofs
from ansible.module_utils.groundwork.kubernetes.admission import turned_away
from ansible.module_utils.groundwork.kubernetes.cluster import PROGRAM, Client
from ansible.module_utils.groundwork.kubernetes.gpus import PROVED, Wanted, compare, prove
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.waiting import Waiter


def main() -> None:
    """Prove and exit."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "dict", "required": True},
            **proofs.OPTIONS,
            "image": {"type": "str", "default": "docker.io/library/python:3.11-slim-bookworm"},
            "runtime_class": {"type": "str", "default": ""},
            "cordoned": {"type": "bool", "default": False},
            "namespace": {"type": "str", "default": "groundwork-verify"},
            "kubeconfig": {"type": "path", "default": "/var/snap/microk8s/current/credentials/client.config"},
            "timeout_seconds": {"type": "float", "default": 180.0},
        },
        supports_check_mode=True,
    )
    given = module.params
    names = ("nodes", "image", "runtime_class", "namespace", "cordoned")

    def work() -> dict[str, object]:
        cluster = Client(given["kubeconfig"], PROGRAM)
        wanted = Wanted(**{name: given[name] for name in names})
        checks = [*compare(cluster, wanted), *turned_away(cluster, wanted.nodes)]
        checks += proofs.ask(module, PROVED, lambda: prove(cluster, wanted, Waiter(given["timeout_seconds"])))
        return {"checks": [check.to_dict() for check in checks]}

    finish(module, work)


if __name__ == "__main__":
    main()
