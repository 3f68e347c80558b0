#!/usr/bin/python
"""Ansible module nvidia_driver_info."""

from __future__ import annotations

DOCUMENTATION = """
module: nvidia_driver_info
short_description: Choose the packages of NVIDIA's driver and tell the driver's state
description:
  - Looks at the system, the kernel, the firmware's Secure Boot, the GPUs on the PCI bus and the kernel modules, and
    chooses the packages of a driver branch.
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
    own_key_enrolled: false
    uvm_loaded: false
    nouveau_loaded: false
    loaded_version: null
    loaded_is_open: null
    installed_version: null
    installed_is_open: null
    library_version: null
    module_of_another_kernel: false
    kernels_without_module: []
    runfile_installed: false
    supported: true
    source: vendor
    modules: open
    repository: debian12/x86_64
    key: 3bf863cc.pub
    pinning: [nvidia-driver-pinning-580]
    kernel_upgrade: []
    headers: [linux-headers-6.1.0-41-amd64, linux-headers-amd64]
    driver: [nvidia-kernel-open-dkms, nvidia-driver-cuda, nvidia-persistenced]
    displaced: []
    exact: [nvidia-fabricmanager]
    companions: []
    services: [nvidia-fabricmanager.service]
    boot_modules: []
    packages: {linux-image-amd64: 6.1.158-1}
    fabric: {kind: nvswitch, seen: 4 NVSwitches on the PCI bus, missing_bridges: false}
    is_right: false
    lacking: [nvidia-driver-pinning-580, nvidia-kernel-open-dkms]
    to_hold: []
    reboot_reasons: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.command import run
from ansible.module_utils.groundwork.gpu import driver
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Observe the host, choose its packages, and exit."""
    module = AnsibleModule(argument_spec=driver.ARGUMENTS, supports_check_mode=True)
    finish(module, lambda: {"driver": driver.see(run, driver.Wanted.of(module.params)).to_dict()})


if __name__ == "__main__":
    main()
