#!/usr/bin/python
"""Ansible module microk8s_member."""

from __future__ import annotations

DOCUMENTATION = """
module: microk8s_member
short_description: Make this host a member of a MicroK8s cluster, or let it leave
description:
  - Joins by a URL that M(microk8s_token) made on a member, and believes the node's own locks, not exit codes.
  - A join that failed before is forgotten and tried again.
  - Joining does not make a node Ready; wait for that on a member, with M(microk8s_info).
options:
  state:
    description: Whether this host shall be in a cluster.
    type: str
    choices: [present, absent]
    default: present
  role:
    description: What it shall be there.
    type: str
    choices: [control_plane, worker]
    default: control_plane
  url:
    description: What to join by, ip:port/token/fingerprint, with an IPv4 address. Needed where a join is due.
    type: str
    default: ""
  timeout_seconds:
    description: How long joining or leaving may take.
    type: float
    default: 600
notes:
  - C(absent) takes this host out of the cluster; its node object stays until C(microk8s remove-node) on a member.
  - A node that is in a cluster in another role, and the last control plane of other nodes, are refused with the remedy.
author: Groundwork
"""

EXAMPLES = """
- name: Ensure the worker has joined
  microk8s_member:
    role: worker
    url: "{{ __token.url }}"
"""

RETURN = """
actions:
  description: What was done, in check mode what would be, of C(forget_failed_join), C(join), C(leave).
  returned: success
  type: list
  elements: str
  sample: [join]
diff:
  description: The node's part in the cluster before and after.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.command import run
from ansible.module_utils.groundwork.microk8s import member
from ansible.module_utils.groundwork.microk8s.paths import Paths
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Observe, plan, apply, exit."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "role": {"type": "str", "choices": ["control_plane", "worker"], "default": "control_plane"},
            "url": {"type": "str", "default": "", "no_log": True},
            "timeout_seconds": {"type": "float", "default": 600.0},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    wanted = member.Wanted(parameters["state"] == "present", parameters["role"], parameters["url"])

    def work() -> dict[str, object]:
        state = member.observe(run, Paths())
        actions = member.plan(state, wanted)
        if not module.check_mode:
            for action in actions:
                member.apply(action, run, Paths(), wanted, parameters["timeout_seconds"])
        return {"changed": bool(actions), "actions": actions, "diff": member.diff(state, wanted, actions)}

    finish(module, work)


if __name__ == "__main__":
    main()
