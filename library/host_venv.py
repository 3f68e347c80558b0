#!/usr/bin/python
"""Ansible module host_venv."""

from __future__ import annotations

DOCUMENTATION = """
module: host_venv
short_description: A virtual environment that holds exactly what a lock names
description:
  - Makes the environment and installs the locked packages, hash by hash.
  - Does it again where the lock or the system's Python changed, or where an earlier run was interrupted.
options:
  path:
    description: Where the environment is.
    type: path
    required: true
  requirements:
    description: The text of a requirements file that locks every package with its hashes.
    type: str
    required: true
  index_url:
    description: URL of the package index; empty means what pip on the host is set to.
    type: str
    default: ""
  python:
    description: The Python that makes the environment.
    type: str
    default: /usr/bin/python3
  timeout_seconds:
    description: How long pip may take.
    type: float
    default: 600
author: Groundwork
"""

EXAMPLES = """
- name: Ensure the virtual environment holds what the lock names
  host_venv:
    path: /opt/groundwork/venv
    requirements: "{{ lookup('ansible.builtin.file', 'requirements.txt') }}"
"""

RETURN = """
actions:
  description: What was done, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: [make the environment again, install the locked packages]
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.command import run
from ansible.module_utils.groundwork.host import venv
from ansible.module_utils.groundwork.module import finish


def work(module: AnsibleModule) -> dict[str, object]:
    """Observe, plan, apply."""
    given = module.params
    wanted = venv.Wanted(Path(given["path"]), given["python"], given["requirements"], given["index_url"])
    found, aim = venv.observe(run, wanted.path), venv.target(run, wanted)
    actions = venv.plan(found, aim)
    if actions and not module.check_mode:
        venv.apply(run, wanted, aim, given["timeout_seconds"])
    return {"changed": bool(actions), "actions": actions, "diff": {"before": f"{found}\n", "after": f"{aim}\n"}}


def main() -> None:
    """Ensure the environment and exit."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "requirements": {"type": "str", "required": True},
            "index_url": {"type": "str", "default": ""},
            "python": {"type": "str", "default": "/usr/bin/python3"},
            "timeout_seconds": {"type": "float", "default": 600.0},
        },
        supports_check_mode=True,
    )
    finish(module, lambda: work(module))


if __name__ == "__main__":
    main()
