#!/usr/bin/python
"""Ansible module nvidia_driver_preflight."""

from __future__ import annotations

DOCUMENTATION = """
module: nvidia_driver_preflight
short_description: Find what would stop NVIDIA's driver on a host
description:
  - Whether the kernel modules drive every GPU, Secure Boot lets them in, no other branch is installed, and the branch
    is where its packages come from.
  - Asks a package repository only where packages are missing, and without changing apt's lists.
  - Returns checks and does not fail because of them. Nothing is changed.
options:
  source:
    description:
      - Where the driver comes from. V(auto) is Ubuntu's own signed modules on Ubuntu and the vendor's repository on
        Debian.
    type: str
    choices: [auto, vendor, distribution]
    default: auto
  branch:
    description: The driver branch, such as V(580).
    type: str
    required: true
  kernel_modules:
    description:
      - Which kernel modules. V(auto) is the open ones, and the proprietary ones where a GPU is older than Turing.
    type: str
    choices: [auto, open, proprietary]
    default: auto
  imex:
    description: Whether IMEX serves the host, where its GPUs belong to a rack with NVLink between its nodes.
    type: bool
    default: false
  vendor_url:
    description: Where the vendor's repositories are, one below it for each system.
    type: str
    required: true
attributes:
  check_mode: {support: full, description: Only reads.}
author: Groundwork
"""

EXAMPLES = """
- name: Look for what would stop the driver
  nvidia_driver_preflight:
    branch: "580"
    vendor_url: https://developer.download.nvidia.com/compute/cuda/repos
  register: driver
"""

RETURN = """
checks:
  description: The verdicts.
  returned: success
  type: list
  elements: dict
  sample:
    - name: gpu_driver.branch_is_published
      status: failed
      observed: "not there: nvidia-driver-pinning-570; branches that are there: 580, 595"
      wanted: branch 570
      remedy: Set gpu_driver_branch to one that is there.
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.command import run
from ansible.module_utils.groundwork.gpu import driver, driver_preflight
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Judge the host and exit."""
    module = AnsibleModule(
        argument_spec={**driver.ARGUMENTS, "vendor_url": {"type": "str", "required": True}}, supports_check_mode=True
    )
    url = module.params["vendor_url"]

    def work() -> dict[str, object]:
        seen = driver.see(run, driver.Wanted.of(module.params))
        checks = driver_preflight.check(seen, lambda: driver_preflight.ask_repository(seen, run, url))
        return {"checks": [check.to_dict() for check in checks]}

    finish(module, work)


if __name__ == "__main__":
    main()
