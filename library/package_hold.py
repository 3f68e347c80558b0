#!/usr/bin/python
"""Ansible module package_hold."""

from __future__ import annotations

DOCUMENTATION = """
module: package_hold
short_description: Keep installed Debian packages from being upgraded
description:
  - Sets dpkg's selection C(hold) for packages, all of them in one step.
options:
  names:
    description: The packages. Each must be installed.
    type: list
    elements: str
    required: true
attributes:
  check_mode: {support: full}
  diff_mode: {support: none}
author: Groundwork
"""

EXAMPLES = """
- name: Ensure the driver is held
  package_hold:
    names: [nvidia-driver-cuda, nvidia-kernel-open-dkms]
"""

RETURN = """
held:
  description: The packages that were not held before.
  returned: success
  type: list
  elements: str
  sample: [nvidia-driver-cuda]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork import package_hold
from ansible.module_utils.groundwork.command import run
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Hold what is not held, and exit."""
    module = AnsibleModule(
        argument_spec={"names": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )

    def work() -> dict[str, object]:
        names = package_hold.not_held(run, module.params["names"])
        if names and not module.check_mode:
            package_hold.hold(run, names)
        return {"changed": bool(names), "held": names}

    finish(module, work)


if __name__ == "__main__":
    main()
