#!/usr/bin/python
"""Ansible module snap_package."""

from __future__ import annotations

DOCUMENTATION = """
module: snap_package
short_description: Install a snap from a channel or a file, and hold it
description:
  - Installs a snap from the store, or from a file whose assertions are acknowledged first, so that nothing unsigned
    comes in.
  - Never moves a snap to another channel; a snap that tracks another one is an error.
options:
  name:
    description: The snap's name.
    type: str
    required: true
  channel:
    description: Track and risk, literally, such as V(1.36/stable).
    type: str
    required: true
  classic:
    description: Whether the snap is published with classic confinement.
    type: bool
    default: false
  held:
    description: Whether snapd must not refresh the snap by itself.
    type: bool
    default: false
  file:
    description: A file of the snap on the host. Empty means the store.
    type: str
    default: ""
  assertion:
    description: A file of the assertions that vouch for O(file).
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Where snapd is not installed yet, everything is reported as to be done.
  diff_mode: {support: none}
author: Groundwork
"""

EXAMPLES = """
- name: Ensure MicroK8s is installed and held
  snap_package:
    name: microk8s
    channel: 1.36/stable
    classic: true
    held: true
"""

RETURN = """
actions:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: str
  sample: [install microk8s from 1.36/stable, hold microk8s]
installed:
  description: Whether the snap was there before.
  returned: success
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork import snap_package
from ansible.module_utils.groundwork.command import run
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Install and hold the snap, and exit."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "channel": {"type": "str", "required": True},
            "classic": {"type": "bool", "default": False},
            "held": {"type": "bool", "default": False},
            "file": {"type": "str", "default": ""},
            "assertion": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )

    def work() -> dict[str, object]:
        wanted = snap_package.Wanted(**module.params)
        installed = snap_package.observe(run, wanted.name)
        actions = snap_package.plan(installed, wanted)
        if not module.check_mode:
            snap_package.apply(run, actions)
        words = [action.what for action in actions]
        return {"changed": bool(actions), "actions": words, "installed": installed is not None}

    finish(module, work)


if __name__ == "__main__":
    main()
