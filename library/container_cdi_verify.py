#!/usr/bin/python
"""Ansible module container_cdi_verify."""

from __future__ import annotations

DOCUMENTATION = """
module: container_cdi_verify
short_description: Judge whether the CDI specification of a host's GPUs is current
description:
  - Compares the devices and files in C(/var/run/cdi/nvidia.yaml) with those that are there.
  - Returns a check and does not fail because of it. Nothing is changed.
options:
  devices:
    description: The devices that NVML offers, by their UUIDs, as module C(nvidia_gpu_info) has them in C(resources).
    type: list
    elements: str
    required: true
author: Groundwork
"""

EXAMPLES = """
- name: Judge the CDI specification
  container_cdi_verify:
    devices: [GPU-1f0cb2ae-7bd4-5dd8-b1ba-1b8bd7fdd3e6]
  register: cdi
"""

RETURN = """
checks:
  description: The verdict, C(container_toolkit.cdi_is_current).
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.gpu import cdi
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Judge the specification and exit."""
    module = AnsibleModule(
        argument_spec={"devices": {"type": "list", "elements": "str", "required": True}}, supports_check_mode=True
    )
    finish(module, lambda: {"checks": [cdi.check(cdi.observe(), module.params["devices"]).to_dict()]})


if __name__ == "__main__":
    main()
