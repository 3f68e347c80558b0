#!/usr/bin/python
"""Ansible module container_gpu_access."""

from __future__ import annotations

DOCUMENTATION = """
module: container_gpu_access
short_description: Find running containers that lost the GPU they were given
description:
  - Compares the GPUs in each container's OCI bundle with what its device cgroup allows. Runs on hosts with GPUs.
  - Nothing is started in the containers, and nothing is changed. Cgroups of version 2 tell their rules to nobody, so a
    process enters each for a moment and asks access(2), which opens no device.
  - Returns a check and does not fail because of it.
options: {}
author: Groundwork
"""

EXAMPLES = """
- name: Look for containers that lost their GPU
  container_gpu_access:
  register: __container_toolkit_access
"""

RETURN = """
containers:
  description: Running containers with GPUs, and which of those they lost.
  returned: always
  type: list
  elements: dict
  sample: [{pod: default/train-0, name: train, gpus: [/dev/nvidia0], lost: []}]
checks:
  description: The verdict, C(kubernetes_gpu.running_pods_keep_their_gpu).
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.gpu import containers
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Observe and exit."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)

    def work() -> dict[str, object]:
        found = containers.observe()
        return {"containers": [one.to_dict() for one in found], "checks": [containers.check(found).to_dict()]}

    finish(module, work)


if __name__ == "__main__":
    main()
