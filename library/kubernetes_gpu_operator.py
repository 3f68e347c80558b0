#!/usr/bin/python
"""Ansible module kubernetes_gpu_operator."""

from __future__ import annotations

DOCUMENTATION = """
module: kubernetes_gpu_operator
short_description: Take NVIDIA's GPU Operator out of a cluster
description:
  - Finds the operator however it came, by MicroK8s's addon C(nvidia) or by Helm, whole or half removed, and takes away
    its releases, policies, definitions, operands, namespaces, and its labels on nodes.
  - Pods with GPUs are evicted first, where that is allowed; their PodDisruptionBudgets count.
  - What policies, values and ConfigMaps said is kept in a file first.
  - In check mode the steps are listed and nothing is changed. A run that was killed is finished by the next one.
  - Feature discovery's labels stay. Another discovery writes the same, and drops what is no longer so.
options:
  allow_disruption:
    description: Whether pods with GPUs may be evicted. Without it they are listed, and nothing is changed.
    type: bool
    default: false
  allow_reboot:
    description: Whether hosts may be rebooted, which those need whose driver runs in the operator's containers.
    type: bool
    default: false
  keep:
    description: A file on this host for what the operator was told, readable by root alone.
    type: path
    default: /opt/groundwork/gpu_operator.json
  timeout_seconds:
    description: How long pods may take to leave, and each object to end.
    type: float
    default: 300
attributes:
  check_mode: {support: full}
notes:
  - Runs on a control-plane node, with the kubectl and Helm of MicroK8s; any Python will do.
author: Groundwork
"""

EXAMPLES = """
- name: Ensure no GPU Operator is in the cluster
  kubernetes_gpu_operator:
    allow_disruption: true
"""

RETURN = """
traces:
  description: What showed that an operator is, or was, there.
  returned: success
  type: list
  elements: str
  sample: [Helm release gpu-operator-resources/gpu-operator (gpu-operator-v25.10.0)]
actions:
  description: The steps that were done, or in check mode would be.
  returned: success
  type: list
  elements: str
pods:
  description: Pods with GPUs that were in the way.
  returned: success
  type: list
  elements: dict
checks:
  description: What may stand in the way of a takeover, as checks; outside of check mode a failed one fails the module.
  returned: success
  type: list
  elements: dict
none_is_left:
  description: Whether an operator was there when the module looked, as a check.
  returned: success
  type: dict
kept:
  description: Whether the file of C(keep) is there now.
  returned: success
  type: bool
diff:
  description: What is there before and after.
  returned: success
  type: dict
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.gpu_operator import takeover
from ansible.module_utils.groundwork.gpu_operator.apply import Steps
from ansible.module_utils.groundwork.gpu_operator.kubectl import Kubectl
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.waiting import Waiter

PATIENCE_SECONDS = 60.0


def main() -> None:
    """Observe, plan, apply, exit."""
    module = AnsibleModule(
        argument_spec={
            "allow_disruption": {"type": "bool", "default": False},
            "allow_reboot": {"type": "bool", "default": False},
            "keep": {"type": "path", "default": "/opt/groundwork/gpu_operator.json"},
            "timeout_seconds": {"type": "float", "default": 300.0},
        },
        supports_check_mode=True,
    )
    given = module.params
    allowed = takeover.Allowed(given["allow_disruption"], given["allow_reboot"])
    waiter, patience = Waiter(given["timeout_seconds"], every=2.0), Waiter(PATIENCE_SECONDS, every=2.0)
    steps = Steps(Kubectl(), waiter, patience)
    finish(module, lambda: takeover.run(steps, allowed, Path(given["keep"]), change=not module.check_mode))


if __name__ == "__main__":
    main()
