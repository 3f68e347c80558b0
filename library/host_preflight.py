#!/usr/bin/python
"""Ansible module host_preflight."""

from __future__ import annotations

DOCUMENTATION = """
module: host_preflight
short_description: Whether a host can become a node
description:
  - Judges the system, its size, clock, network and name, and returns checks; it never fails because of what it finds.
  - Never changes anything.
options:
  minimum_memory_mib:
    description: Memory that the host must have.
    type: int
    required: true
  minimum_disk_mib:
    description: Space that must be free at C(disk); on a host that already is a node less is a warning.
    type: int
    required: true
  disk:
    description: Where the space is needed; it need not exist yet.
    type: path
    required: true
  installed:
    description: A path that exists where the host already is a node.
    type: path
    required: true
  clock_tolerance_seconds:
    description: How far the host's clock may be from C(time).
    type: float
    required: true
  time:
    description: The controller's clock, in seconds since 1970.
    type: float
    required: true
  names:
    description: The host names of this run by their inventory names.
    type: dict
    required: true
author: Groundwork
"""

EXAMPLES = """
- name: Check the host
  host_preflight:
    minimum_memory_mib: 3500
    minimum_disk_mib: 20480
    disk: /var/snap
    installed: /var/snap/microk8s/current
    clock_tolerance_seconds: 60
    time: "{{ now().timestamp() }}"
    names: {n1: n1, n2: n2}
"""

RETURN = """
checks:
  description: The verdicts.
  returned: always
  type: list
  elements: dict
  sample:
    - {name: host_base.system_is_supported, status: ok, observed: debian 12, wanted: "debian 12, debian 13", remedy: ""}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.host import observe, preflight
from ansible.module_utils.groundwork.module import finish

NUMBERS = {"minimum_memory_mib": "int", "minimum_disk_mib": "int", "clock_tolerance_seconds": "float", "time": "float"}


def work(module: AnsibleModule) -> dict[str, object]:
    """Observe the host and judge it."""
    given = module.params
    host = observe.observe(Path(given["disk"]))
    wanted = preflight.Wanted(
        memory_mib=given["minimum_memory_mib"],
        disk_mib=given["minimum_disk_mib"],
        disk=given["disk"],
        clock_seconds=given["clock_tolerance_seconds"],
        time=given["time"],
        names=given["names"],
        installed=Path(given["installed"]).exists(),
    )
    return {"checks": [check.to_dict() for check in preflight.check(host, wanted)]}


def main() -> None:
    """Check the host and exit."""
    types = {**NUMBERS, "disk": "path", "installed": "path", "names": "dict"}
    module = AnsibleModule(
        {name: {"type": kind, "required": True} for name, kind in types.items()}, supports_check_mode=True
    )
    finish(module, lambda: work(module))


if __name__ == "__main__":
    main()
