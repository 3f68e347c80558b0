#!/usr/bin/python
"""Ansible module microk8s_preflight."""

from __future__ import annotations

DOCUMENTATION = """
module: microk8s_preflight
short_description: Whether MicroK8s can be installed on a host, or taken over
description:
  - Looks for other Kubernetes distributions, taken ports, a foreign channel and GPU addons, and returns checks.
  - It never fails because of what it finds, and never changes anything.
options:
  channel:
    description: The snap's track and risk, such as C(1.36/stable).
    type: str
    required: true
  timeout_seconds:
    description: How long each command may take.
    type: float
    default: 90
author: Groundwork
"""

EXAMPLES = """
- name: Check MicroK8s
  microk8s_preflight:
    channel: 1.36/stable
  register: __microk8s_node_preflight
"""

RETURN = """
checks:
  description: The verdicts.
  returned: always
  type: list
  elements: dict
  sample:
    - {name: microk8s_node.ports_free, status: ok, observed: free, wanted: "1338, 10248 free", remedy: ""}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.command import run
from ansible.module_utils.groundwork.microk8s import preflight, status
from ansible.module_utils.groundwork.microk8s.observe import observe
from ansible.module_utils.groundwork.microk8s.paths import Paths
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Observe MicroK8s, judge it, and exit."""
    module = AnsibleModule(
        argument_spec={
            "channel": {"type": "str", "required": True},
            "timeout_seconds": {"type": "float", "default": 90.0},
        },
        supports_check_mode=True,
    )

    def work() -> dict[str, object]:
        paths = Paths()
        found = observe(run, paths, ["status"] if status.readable() else [], module.params["timeout_seconds"])
        checks = preflight.check(found, preflight.observe(paths.root), module.params["channel"])
        return {"checks": [check.to_dict() for check in checks]}

    finish(module, work)


if __name__ == "__main__":
    main()
