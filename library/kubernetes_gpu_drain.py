#!/usr/bin/python
"""Ansible module kubernetes_gpu_drain."""

from __future__ import annotations

DOCUMENTATION = """
module: kubernetes_gpu_drain
short_description: Have everything leave a node's GPUs, and come back
description:
  - Cordons a node, has the pods that hold its GPUs evicted where that is allowed, and has DaemonSets that read GPUs
    leave it, so that nothing has the driver open. Other pods stay.
  - Pods that hold GPUs are refused with their names unless O(allow_disruption). Evictions heed PodDisruptionBudgets.
  - What was done is remembered on the node. A run that was killed is finished by the next one, and a node that
    somebody else had cordoned stays so at the end.
options:
  node:
    description: The node's name.
    type: str
    required: true
  state:
    description:
      - V(drained) has nothing on the GPUs. V(served) lets DaemonSets that read GPUs come back, which look at them then.
      - V(open) is the end, with the node as it was.
    type: str
    choices: [drained, served, open]
    required: true
  reason:
    description: Who does it, for who looks at the node meanwhile.
    type: str
    default: operations/mig
  allow_disruption:
    description: Whether pods that hold GPUs may be evicted.
    type: bool
    default: false
  kubeconfig:
    description: The way to the API server.
    type: path
    default: /var/snap/microk8s/current/credentials/client.config
  timeout_seconds:
    description: How long pods may take to leave, each kind of them.
    type: float
    default: 600
notes:
  - Needs the kubernetes package beside the interpreter.
author: Groundwork
"""

EXAMPLES = """
- name: Ensure nothing is on the GPUs of n2
  kubernetes_gpu_drain:
    node: n2
    state: drained
    allow_disruption: true
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"
"""

RETURN = """
actions:
  description: What was done, in check mode what would be, a step a line.
  returned: success
  type: list
  elements: str
  sample: [cordon, "evict team-a/train-0 (1 nvidia.com/gpu)", pause GPU clients]
holders:
  description: The pods that held GPUs when it began, with what they hold.
  returned: success
  type: list
  elements: str
  sample: ["team-a/train-0 (1 nvidia.com/gpu)"]
interrupted:
  description: Whether a change of this node had begun before, and did not end.
  returned: success
  type: bool
daemonsets:
  description: The DaemonSets, namespace/name, that leave a node whose GPUs are drained.
  returned: success
  type: list
  elements: str
  sample: [nvidia-device-plugin/nvidia-device-plugin]
diff:
  description: The node before and after.
  returned: success
  type: dict
  sample:
    before: "n2: open, GPU clients run\\n"
    after: "n2: cordoned, GPU clients paused\\n"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.kubernetes import drain
from ansible.module_utils.groundwork.kubernetes.cluster import PROGRAM, Client
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.waiting import Waiter


def main() -> None:
    """Observe, plan, apply, exit."""
    module = AnsibleModule(
        argument_spec={
            "node": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["drained", "served", "open"], "required": True},
            "reason": {"type": "str", "default": "operations/mig"},
            "allow_disruption": {"type": "bool", "default": False},
            "kubeconfig": {"type": "path", "default": "/var/snap/microk8s/current/credentials/client.config"},
            "timeout_seconds": {"type": "float", "default": 600.0},
        },
        supports_check_mode=True,
    )
    given = module.params
    waiter = Waiter(given["timeout_seconds"])

    def work() -> dict[str, object]:
        cluster = Client(given["kubeconfig"], PROGRAM)
        wanted = drain.Wanted(given["state"], given["reason"], given["allow_disruption"])
        return drain.declare(cluster, given["node"], wanted, waiter, change=not module.check_mode)

    finish(module, work)


if __name__ == "__main__":
    main()
