#!/usr/bin/python
"""Ansible module microk8s_token."""

from __future__ import annotations

DOCUMENTATION = """
module: microk8s_token
short_description: Make a token by which hosts join this MicroK8s cluster
description:
  - Runs C(microk8s add-node) on a member and returns the URL that C(microk8s join) wants.
  - What it returns is a secret; give the task C(no_log).
options:
  address:
    description: The IPv4 address of this host that the joining hosts reach.
    type: str
    required: true
  ttl_seconds:
    description: How long the token is good for, as often as wanted; a failed join would spend a token for one use.
    type: int
    default: 900
  timeout_seconds:
    description: How long the command may take.
    type: float
    default: 60
notes:
  - In check mode no token is made, and C(url) is null.
author: Groundwork
"""

EXAMPLES = """
- name: Make a join token
  microk8s_token:
    address: "{{ hostvars[site_admin_host].ansible_host }}"
  delegate_to: "{{ site_admin_host }}"
  register: __token
  no_log: true
"""

RETURN = """
url:
  description: What to join by, ip:port/token/fingerprint; null in check mode.
  returned: always
  type: str
token:
  description: The token with its fingerprint alone; null in check mode.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.command import run
from ansible.module_utils.groundwork.microk8s.token import make
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Make the token and exit."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "ttl_seconds": {"type": "int", "default": 900, "no_log": False},
            "timeout_seconds": {"type": "float", "default": 60.0},
        },
        supports_check_mode=True,
    )

    def work() -> dict[str, object]:
        if module.check_mode:
            return {"changed": True, "url": None, "token": None}
        token = make(run, **module.params)
        return {"changed": True, "url": token.url, "token": token.token}

    finish(module, work)


if __name__ == "__main__":
    main()
