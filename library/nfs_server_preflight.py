#!/usr/bin/python
"""Ansible module nfs_server_preflight."""

from __future__ import annotations

DOCUMENTATION = """
module: nfs_server_preflight
short_description: Say whether a folder can be exported by NFS
description:
  - Asks the folder's filesystem for a file handle, without which a server starts and shows nothing.
  - Returns a check and does not fail because of it. Never changes anything.
options:
  path:
    description: The folder; it need not exist yet.
    type: path
    required: true
author: Groundwork
"""

EXAMPLES = """
- name: Look at the folder's filesystem
  nfs_server_preflight:
    path: /srv/nfs
  register: __nfs_server_filesystem
"""

RETURN = """
checks:
  description: The verdict, C(nfs_server.path_can_be_exported).
  returned: always
  type: list
  elements: dict
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.storage import nfs


def main() -> None:
    """Look and exit."""
    module = AnsibleModule(argument_spec={"path": {"type": "path", "required": True}}, supports_check_mode=True)
    finish(module, lambda: {"checks": [nfs.exportable(Path(module.params["path"])).to_dict()]})


if __name__ == "__main__":
    main()
