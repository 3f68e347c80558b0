#!/usr/bin/python
"""Ansible module site_variables."""

from __future__ import annotations

DOCUMENTATION = """
module: site_variables
short_description: Find misspelled and renamed variables of ours
description:
  - A variable is ours when it begins with the name of a role, or is nearly spelled like a variable of ours.
  - Variables that begin with an underscore are internal and not looked at.
  - Returns a check and does not fail because of it. Runs on the controller. Never changes anything.
options:
  variables:
    description: The names of all variables of a host.
    type: list
    elements: str
    required: true
  known:
    description: The names of all public variables, the options of every role's argument specs.
    type: list
    elements: str
    required: true
  roles:
    description: The names of all roles.
    type: list
    elements: str
    required: true
  renamed:
    description: Old names of variables and their new ones.
    type: dict
    default: {}
author: Groundwork
"""

EXAMPLES = """
- name: Find misspelled variables
  site_variables:
    variables: "{{ vars.keys() | list }}"
    known: "{{ __site_options.keys() | list }}"
    roles: "{{ __site_roles }}"
  delegate_to: localhost
  register: __site_variables
"""

RETURN = """
unknown:
  description: Variables that nothing reads, with what was probably meant; C(renamed) where that is their new name.
  returned: always
  type: list
  elements: dict
  sample: [{name: gpu_driver_brunch, nearest: gpu_driver_branch, renamed: false}]
checks:
  description: The verdict, C(site.variables_are_known).
  returned: always
  type: list
  elements: dict
"""

import dataclasses

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork import variables
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Compare names and exit."""
    names = {"type": "list", "elements": "str", "required": True}
    module = AnsibleModule(
        argument_spec={"variables": names, "known": names, "roles": names, "renamed": {"type": "dict", "default": {}}},
        supports_check_mode=True,
    )

    def work() -> dict[str, object]:
        found = variables.unknown(**module.params)
        return {"unknown": [dataclasses.asdict(name) for name in found], "checks": [variables.check(found).to_dict()]}

    finish(module, work)


if __name__ == "__main__":
    main()
