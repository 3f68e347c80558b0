#!/usr/bin/python
"""Ansible module site_inventory."""

from __future__ import annotations

DOCUMENTATION = """
module: site_inventory
short_description: Checks an inventory before any host is asked
description:
  - Judges groups and addresses alone, and returns checks; it never fails because of what it finds.
  - Runs on the controller. Never changes anything.
options:
  groups:
    description: The hosts of each group, such as the variable C(groups).
    type: dict
    required: true
  addresses:
    description: What each host is reached by; empty means its own name.
    type: dict
    required: true
  chosen:
    description: The hosts of this run, fewer than all under C(--limit).
    type: list
    elements: str
    required: true
author: Groundwork
"""

EXAMPLES = """
- name: Check the inventory
  site_inventory:
    groups: "{{ groups }}"
    addresses: {n1: 192.0.2.11, n2: 192.0.2.12}
    chosen: "{{ ansible_play_hosts_all }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = """
checks:
  description: The verdicts.
  returned: always
  type: list
  elements: dict
  sample:
    - {name: site.control_plane_exists, status: failed, observed: none,
       wanted: at least one host in the group control_plane, remedy: Name the hosts that run the API server}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.inventory import Inventory, check
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Check the inventory and exit."""
    module = AnsibleModule(
        argument_spec={
            "groups": {"type": "dict", "required": True},
            "addresses": {"type": "dict", "required": True},
            "chosen": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    own = {name: tuple(hosts) for name, hosts in module.params["groups"].items() if name not in ("all", "ungrouped")}
    addresses = {host: address or host for host, address in module.params["addresses"].items()}
    inventory = Inventory(own, addresses, tuple(module.params["chosen"]))
    finish(module, lambda: {"checks": [verdict.to_dict() for verdict in check(inventory)]})


if __name__ == "__main__":
    main()
