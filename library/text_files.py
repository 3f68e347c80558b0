#!/usr/bin/python
"""Ansible module text_files."""

from __future__ import annotations

DOCUMENTATION = """
module: text_files
short_description: Write several small text files below one directory
description:
  - Does in one step what a loop over directories and templates does in many.
  - What is new gets the owner, group and mode of O(directory), files without the right to execute.
  - Never removes a file.
options:
  directory:
    description: Where the files are; it must exist.
    type: path
    required: true
  files:
    description: Each file's text by its path below O(directory). Directories on the way are made.
    type: dict
    required: true
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: Groundwork
"""

EXAMPLES = """
- name: Ensure images come from the mirror
  text_files:
    directory: /var/snap/microk8s/current/args/certs.d
    files:
      docker.io/hosts.toml: |
        server = "http://mirror:5000/v2/docker.io"
"""

RETURN = """
written:
  description: The files that were written or, in check mode, would be.
  returned: success
  type: list
  elements: str
  sample: [docker.io/hosts.toml]
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork import text_files
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Write what differs, and exit."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "files": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    directory = Path(module.params["directory"])

    def work() -> dict[str, object]:
        differences = text_files.plan(directory, module.params["files"])
        if not module.check_mode:
            text_files.apply(directory, differences)
        return {
            "changed": bool(differences),
            "written": [str(found.path.relative_to(directory)) for found in differences],
            "diff": [
                {"before_header": str(found.path), "after_header": str(found.path)}
                | {"before": found.before, "after": found.after}
                for found in differences
            ],
        }

    finish(module, work)


if __name__ == "__main__":
    main()
