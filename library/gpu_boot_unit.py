#!/usr/bin/python
"""Ansible module gpu_boot_unit."""

from __future__ import annotations

DOCUMENTATION = """
module: gpu_boot_unit
short_description: Have what is declared of a host's GPUs applied at each boot
description:
  - A driver forgets MIG instances, limits and clocks when it is loaded. This puts a unit of systemd on the host that
    makes them again before MicroK8s starts.
  - The unit runs the same code as the module of that O(name), which is copied below C(/opt/groundwork/lib).
  - What is new or changed is started at once, so that it is seen to work now and not at the next boot.
options:
  name:
    description: Whose declaration it is. V(mig) is applied first.
    type: str
    choices: [mig, settings]
    required: true
  arguments:
    description: What the module of that name is given, such as C(config) and C(selected).
    type: dict
    default: {}
  venv:
    description: The virtual environment whose interpreter runs it, with nvidia-ml-py.
    type: path
    default: /opt/groundwork/venv
  state:
    description: Whether the unit shall be there. The last one that goes takes the code with it.
    type: str
    choices: [present, absent]
    default: present
notes:
  - Needs root.
attributes:
  check_mode: {support: full}
  diff_mode: {support: full, description: The code below C(/opt/groundwork/lib) is left out.}
author: Groundwork
"""

EXAMPLES = """
- name: Ensure the layout is there again after a boot
  gpu_boot_unit:
    name: mig
    arguments: {config: {}, selected: all-1g.10gb, allow_disruption: false, timeout_seconds: 60}
"""

RETURN = """
actions:
  description: What was done, in check mode what would be.
  returned: success
  type: list
  elements: str
  sample: [write groundwork-gpu-mig.service, enable groundwork-gpu-mig.service, start groundwork-gpu-mig.service]
unit:
  description: The unit's name.
  returned: success
  type: str
  sample: groundwork-gpu-mig.service
enabled:
  description: Whether it was started at boots before this.
  returned: success
  type: bool
active:
  description: Whether its last start before this did well.
  returned: success
  type: bool
diff:
  description: The declaration and the unit, before and after.
  returned: success
  type: list
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.command import run
from ansible.module_utils.groundwork.gpu import boot_unit
from ansible.module_utils.groundwork.module import finish

ROOT = Path("/")


def main() -> None:
    """Observe, plan, apply, exit."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "choices": ["mig", "settings"], "required": True},
            "arguments": {"type": "dict", "default": {}},
            "venv": {"type": "path", "default": "/opt/groundwork/venv"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    given = module.params
    wanted = boot_unit.Wanted(given["name"], given["arguments"], Path(given["venv"]))

    def work() -> dict[str, object]:
        state = boot_unit.observe(run, ROOT, wanted)
        steps = boot_unit.plan(state, given["state"] == "present")
        if not module.check_mode:
            boot_unit.apply(run, ROOT, wanted, state, steps)
        return boot_unit.told(state, steps, wanted)

    finish(module, work)


if __name__ == "__main__":
    main()
