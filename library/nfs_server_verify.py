#!/usr/bin/python
"""Ansible module nfs_server_verify."""

from __future__ import annotations

DOCUMENTATION = """
module: nfs_server_verify
short_description: Ask an NFS server whether it is there
description:
  - Calls the null procedure of its protocol, as C(rpcinfo) would; nothing is mounted, and no package is needed.
  - Returns a check and does not fail because of it. Never changes anything.
options:
  server:
    description: The server's name or address.
    type: str
    required: true
  version:
    description: The version of NFS that it is to speak.
    type: int
    choices: [3, 4]
    default: 4
  check_name:
    description: How the check is called.
    type: str
    default: nfs_server.answers
  timeout_seconds:
    description: How long it may take to connect, and again to answer.
    type: float
    default: 10
author: Groundwork
"""

EXAMPLES = """
- name: Ask the server
  nfs_server_verify:
    server: nas
  register: __nfs_server_asked
"""

RETURN = """
checks:
  description: The verdict.
  returned: always
  type: list
  elements: dict
  sample: [{name: nfs_server.answers, status: ok, observed: nas answers NFS version 4 at port 2049,
    wanted: nas answers NFS version 4 at port 2049, remedy: ""}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.storage import nfs


def main() -> None:
    """Ask and exit."""
    module = AnsibleModule(
        argument_spec={
            "server": {"type": "str", "required": True},
            "version": {"type": "int", "choices": [3, 4], "default": 4},
            "check_name": {"type": "str", "default": "nfs_server.answers"},
            "timeout_seconds": {"type": "float", "default": 10.0},
        },
        supports_check_mode=True,
    )
    given = [module.params[name] for name in ("check_name", "server", "version", "timeout_seconds")]
    finish(module, lambda: {"checks": [nfs.check(*given).to_dict()]})


if __name__ == "__main__":
    main()
