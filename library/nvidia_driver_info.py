#!/usr/bin/python
"""Ansible module nvidia_driver_info."""

from __future__ import annotations

DOCUMENTATION = """
module: nvidia_driver_info
short_description: Choose the packages of NVIDIA's driver and tell the driver's state
description:
  - Looks at the system, the kernel, the firmware's Secure Boot and the kernel modules, and chooses the packages of a
    driver branch.
  - Needs neither a GPU nor a driver. Never changes anything.
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
attributes:
  check_mode: {support: full, description: Only reads.}
author: Groundwork
"""

EXAMPLES = """
- name: Choose the driver's packages
  nvidia_driver_info:
    branch: "580"
  register: driver
"""

RETURN = """
driver:
  description: What was seen, and what was chosen.
  returned: success
  type: dict
  sample:
    distribution: debian
    release: "12"
    architecture: x86_64
    kernel: 6.1.0-41-amd64
    kernel_packages: [linux-image-amd64]
    headers_present: false
    secure_boot: false
    uvm_loaded: false
    nouveau_loaded: false
    loaded_version: null
    installed_version: null
    module_of_another_kernel: false
    runfile_installed: false
    supported: true
    source: vendor
    repository: debian12/x86_64
    key: 3bf863cc.pub
    oldest_branch: 0
    pinning: [nvidia-driver-pinning-580]
    kernel_upgrade: []
    headers: [linux-headers-6.1.0-41-amd64, linux-headers-amd64]
    driver: [nvidia-kernel-open-dkms, nvidia-driver-cuda, nvidia-persistenced]
    reboot_reasons: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.command import run
from ansible.module_utils.groundwork.gpu import driver
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Observe the host, choose its packages, and exit."""
    module = AnsibleModule(
        argument_spec={
            "source": {"type": "str", "choices": ["auto", "vendor", "distribution"], "default": "auto"},
            "branch": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )

    def work() -> dict[str, object]:
        host = driver.observe(run)
        given = module.params
        chosen = driver.choose(host, given["source"], given["branch"], lambda names: driver.offered(run, names))
        return {"driver": driver.report(host, chosen)}

    finish(module, work)


if __name__ == "__main__":
    main()
