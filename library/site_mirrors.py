#!/usr/bin/python
"""Ansible module site_mirrors."""

from __future__ import annotations

DOCUMENTATION = """
module: site_mirrors
short_description: Whether the site's mirrors answer
description:
  - Asks all mirrors at once, from this host, and returns checks; it never fails because of what it finds.
  - Never changes anything.
options:
  mirrors:
    description: The URL to ask for by the variable that it comes from; an empty one is skipped.
    type: dict
    required: true
  timeout_seconds:
    description: How long each may take.
    type: float
    default: 10
author: Groundwork
"""

EXAMPLES = """
- name: Check that the mirrors answer
  site_mirrors:
    mirrors:
      site_mirror_charts_url: http://mirror.example/charts/index.yaml
"""

RETURN = """
checks:
  description: A verdict on each mirror.
  returned: always
  type: list
  elements: dict
  sample:
    - {name: site.mirror_charts_answers, status: failed,
       observed: "http://mirror.example/charts/index.yaml: HTTP 404 Not Found",
       wanted: http://mirror.example/charts/index.yaml answers within 10 s, remedy: "Start the mirror, …"}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.mirror import check, fetch
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Ask the mirrors and exit."""
    module = AnsibleModule(
        argument_spec={
            "mirrors": {"type": "dict", "required": True},
            "timeout_seconds": {"type": "float", "default": 10.0},
        },
        supports_check_mode=True,
    )
    given = module.params
    finish(
        module,
        lambda: {"checks": [verdict.to_dict() for verdict in check(given["mirrors"], given["timeout_seconds"], fetch)]},
    )


if __name__ == "__main__":
    main()
