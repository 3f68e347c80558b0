#!/usr/bin/python
"""Ansible module host_verify."""

from __future__ import annotations

DOCUMENTATION = """
module: host_verify
short_description: Whether a host is as role host_base left it
description:
  - Resolves the nodes' names, reads kernel settings and tries the virtual environment, and returns checks.
  - Never changes anything.
options:
  addresses:
    description: The address that each node's name should resolve to.
    type: dict
    required: true
  kernel_settings:
    description: Kernel settings by their names with dots.
    type: dict
    required: true
  venv:
    description: The virtual environment of our modules.
    type: path
    required: true
  imports:
    description: What it must import.
    type: list
    elements: str
    required: true
author: Groundwork
"""

EXAMPLES = """
- name: Verify the host
  host_verify:
    addresses: {n1: 192.0.2.11}
    kernel_settings: {fs.inotify.max_user_instances: 8192}
    venv: /opt/groundwork/venv
    imports: [pynvml, kubernetes]
"""

RETURN = """
checks:
  description: The verdicts.
  returned: always
  type: list
  elements: dict
  sample:
    - {name: host_base.names_resolve, status: ok, observed: 3 names,
       wanted: every node's name resolves to its address, remedy: ""}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.host.verify import Wanted, check
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Verify the host and exit."""
    module = AnsibleModule(
        argument_spec={
            "addresses": {"type": "dict", "required": True},
            "kernel_settings": {"type": "dict", "required": True},
            "venv": {"type": "path", "required": True},
            "imports": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    kernel = {name: str(value) for name, value in given["kernel_settings"].items()}
    wanted = Wanted(given["addresses"], kernel, Path(given["venv"]), tuple(given["imports"]))
    finish(module, lambda: {"checks": [verdict.to_dict() for verdict in check(wanted)]})


if __name__ == "__main__":
    main()
