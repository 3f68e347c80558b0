#!/usr/bin/python
"""Ansible module host_info."""

from __future__ import annotations

DOCUMENTATION = """
module: host_info
short_description: What a host is
description:
  - Reads the system, its size, its clock and its place in the network.
  - Never changes anything.
options:
  disk:
    description: Where to look for free space; it need not exist yet.
    type: path
    default: /var/snap
author: Groundwork
"""

EXAMPLES = """
- name: Read what the host is
  host_info:
  register: __host
"""

RETURN = """
host:
  description: What was observed. C(time_service) is null where nothing keeps the time.
  returned: always
  type: dict
  sample: {system: debian 12, architecture: x86_64, init: systemd, cgroup: cgroup2, name: n1, user_id: 0,
    memory_mib: 24050, disk_free_mib: 70123, default_route: true, time: 1795257600.5, time_service: chrony,
    container: false, package_lists: true, firewall: null}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.host.observe import observe
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Observe the host and exit."""
    module = AnsibleModule(argument_spec={"disk": {"type": "path", "default": "/var/snap"}}, supports_check_mode=True)
    finish(module, lambda: {"host": observe(Path(module.params["disk"])).to_dict()})


if __name__ == "__main__":
    main()
