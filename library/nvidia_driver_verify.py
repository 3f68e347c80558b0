#!/usr/bin/python
"""Ansible module nvidia_driver_verify."""

from __future__ import annotations

DOCUMENTATION = """
module: nvidia_driver_verify
short_description: Judge whether NVIDIA's driver on a host is what was installed
description:
  - Whether the module that is installed is the one that runs, is held, and will be there after the next boot; whether
    its daemons run, and Fabric Manager is of exactly its version.
  - What the GPUs themselves do is not judged here.
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
attributes:
  check_mode: {support: full, description: Only reads.}
author: Groundwork
"""

EXAMPLES = """
- name: Judge the driver
  nvidia_driver_verify:
    branch: "580"
  register: driver
"""

RETURN = """
checks:
  description: The verdicts.
  returned: success
  type: list
  elements: dict
  sample:
    - name: gpu_driver.installed_is_loaded
      status: failed
      observed: loaded 580.95.05, installed 580.126.09, library 580.126.09
      wanted: one version in the kernel, on disk and of the library
      remedy: Drain the node and run playbooks/gpu.yml, which reboots the host.
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.command import run
from ansible.module_utils.groundwork.gpu import driver, driver_verify
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Judge the host and exit."""
    module = AnsibleModule(argument_spec=driver.ARGUMENTS, supports_check_mode=True)

    def work() -> dict[str, object]:
        seen = driver.see(run, driver.Wanted.of(module.params))
        units = driver_verify.states(run, [driver_verify.PERSISTENCE, *seen.chosen.services])
        return {"checks": [check.to_dict() for check in driver_verify.check(seen, units)]}

    finish(module, work)


if __name__ == "__main__":
    main()
