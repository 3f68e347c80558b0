#!/usr/bin/python
"""Ansible module microk8s_verify."""

from __future__ import annotations

DOCUMENTATION = """
module: microk8s_verify
short_description: Whether MicroK8s on a host is as it was declared
description:
  - Judges the snap, the node, access control, DNS and certificates, and returns checks.
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
  microk8s_verify:
    channel: 1.36/stable
  register: __microk8s_node_verify
"""

RETURN = """
version:
  description: The snap's version and revision; null where it is not installed.
  returned: always
  type: str
  sample: v1.36.1 (revision 9001)
checks:
  description: The verdicts.
  returned: always
  type: list
  elements: dict
  sample:
    - {name: microk8s_node.ready, status: ok, observed: Ready, wanted: Ready, remedy: ""}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.command import run
from ansible.module_utils.groundwork.microk8s import verify
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
        found = observe(run, paths, ["certificates", "nodes"], module.params["timeout_seconds"])
        checks = verify.check(found, paths, module.params["channel"])
        version = f"{found.snap.version} (revision {found.snap.revision})" if found.snap else None
        return {"version": version, "checks": [check.to_dict() for check in checks]}

    finish(module, work)


if __name__ == "__main__":
    main()
