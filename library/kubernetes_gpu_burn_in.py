#!/usr/bin/python
"""Ansible module kubernetes_gpu_burn_in."""

from __future__ import annotations

DOCUMENTATION = """
module: kubernetes_gpu_burn_in
short_description: Test every free GPU of a cluster, whether it is right and as fast as its kind
description:
  - Runs a pod on each GPU that nobody holds, all at once. Each multiplies matrices, copies within the GPU's memory,
    fills it with patterns, and copies from and to the host.
  - Then all pods sum together by gloo, and those GPUs of a node that are free by NCCL, in one pod.
  - GPUs in use, and such as are shared or cut into MIG devices, are named and left alone. Nothing of a GPU is set.
  - The pods have the lowest priority, and go at the end with their namespace, also after an interruption.
  - Returns checks and does not fail because of them. Never counts as a change. In check mode no pod is run.
options:
  nodes:
    description: The UUIDs that NVML sees, by the node's name and the resource, C(resources) of M(nvidia_gpu_info).
    type: dict
    required: true
  image:
    description: An image with C(python3) and torch; what it runs comes from this module.
    type: str
    required: true
  namespace:
    description: The namespace for the pods; it must not exist, or be Groundwork's.
    type: str
    default: groundwork-burn-in
  seconds:
    description: How long all tests of one GPU may take together.
    type: float
    default: 60
  all_reduce_seconds:
    description: How long a sum across pods may take, and one across GPUs.
    type: float
    default: 15
  memory_mib:
    description: How much of the host's memory a pod may have for each GPU.
    type: int
    default: 8192
  sibling_ratio:
    description: Below which part of the median of the others of its kind a GPU is slow.
    type: float
    default: 0.9
  product_ratio:
    description: Below which part of what its product can do at most a GPU is worth a look.
    type: float
    default: 0.6
  kubeconfig:
    description: The way to the API server.
    type: path
    default: /var/snap/microk8s/current/credentials/client.config
  timeout_seconds:
    description: How long pods may take to begin, the pull of their image included.
    type: float
    default: 900
notes:
  - Needs the kubernetes package beside the interpreter.
author: Groundwork
"""

EXAMPLES = """
- name: Test the GPUs
  kubernetes_gpu_burn_in:
    nodes:
      n2: {nvidia.com/gpu: [GPU-1f0e8bd5-1c9e-5cb5-9d4c-0d5c51a5b0a1]}
    image: docker.io/groundwork/first-training:1
  register: __gpu_burn_in_done
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"
"""

RETURN = """
checks:
  description:
    - C(gpu_burn_in.all_gpus_were_tested), C(gpu_burn_in.cuda_initialises), C(gpu_burn_in.results_are_right),
      C(gpu_burn_in.as_fast_as_its_siblings), C(gpu_burn_in.as_fast_as_its_product),
      C(gpu_burn_in.all_reduce_across_pods) and C(gpu_burn_in.all_reduce_across_gpus); none in check mode.
  returned: success
  type: list
  elements: dict
rows:
  description: Each measurement, beside what its product can do and what its siblings do.
  returned: success
  type: list
  elements: dict
  sample:
    - {node: n2, gpu: GPU-1f0e8bd5-…, product: NVIDIA H100 80GB HBM3, test: copy, unit: GB/s, best: 3010.2,
      sustained: 3001.9, wrong: 0, checked: 5637144576, expected: 3350.0, source: …, to_expected: 0.8986,
      to_siblings: 1.0012, note: ""}
planned:
  description: The pods, each with its node.
  returned: success
  type: dict
  sample: {gpu-n2-0: n2}
left:
  description: What is left alone, and why.
  returned: success
  type: list
  elements: str
  sample: ["n1: 1 in use by team-a/train-0"]
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.burn_in import judge, pods
from ansible.module_utils.groundwork.kubernetes.cluster import PROGRAM, Client
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.waiting import Waiter


def main() -> None:
    """Test and exit."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "dict", "required": True},
            "image": {"type": "str", "required": True},
            "namespace": {"type": "str", "default": "groundwork-burn-in"},
            "seconds": {"type": "float", "default": 60.0},
            "all_reduce_seconds": {"type": "float", "default": 15.0},
            "memory_mib": {"type": "int", "default": 8192},
            "sibling_ratio": {"type": "float", "default": 0.9},
            "product_ratio": {"type": "float", "default": 0.6},
            "kubeconfig": {"type": "path", "default": "/var/snap/microk8s/current/credentials/client.config"},
            "timeout_seconds": {"type": "float", "default": 900.0},
        },
        supports_check_mode=True,
    )
    given = module.params
    names = ("nodes", "image", "namespace", "seconds", "all_reduce_seconds", "memory_mib")
    limits = judge.Limits(given["sibling_ratio"], given["product_ratio"])

    def work() -> dict[str, object]:
        cluster = Client(given["kubeconfig"], PROGRAM)
        wanted = pods.Wanted(**{name: given[name] for name in names})
        if module.check_mode:
            found = pods.observe(cluster, wanted)
            return {"checks": [], "rows": [], "planned": dict(found.pods), "left": list(found.left)}
        done = pods.run(
            cluster, lambda: Client(given["kubeconfig"], pods.COMMAND), wanted, Waiter(given["timeout_seconds"])
        )
        checks = [
            *judge.checks(done.told, done.plan.left, limits),
            judge.all_reduce(judge.ACROSS_PODS, done.across_pods, done.pods_not_run),
            judge.all_reduce(judge.ACROSS_GPUS, done.across_gpus, done.gpus_not_run),
        ]
        return {
            "checks": [check.to_dict() for check in checks],
            "rows": [asdict(row) for row in judge.rows(done.told)],
            "planned": dict(done.plan.pods),
            "left": list(done.plan.left),
        }

    finish(module, work)


if __name__ == "__main__":
    main()
