#!/usr/bin/python
"""Ansible module mount_point."""

from __future__ import annotations

DOCUMENTATION = """
module: mount_point
short_description: A folder to mount upon, where nobody writes while nothing is mounted
description:
  - Makes the folder, and makes it immutable as C(chattr +i) does, where its filesystem knows such a thing.
  - It does so below what is mounted there already, and so at any time.
options:
  path:
    description: The folder. Those above it are made too.
    type: path
    required: true
  protected:
    description: Whether it is immutable.
    type: bool
    default: true
attributes:
  check_mode: {support: full}
author: Groundwork
"""

EXAMPLES = """
- name: Ensure nobody writes where the shared filesystem is missing
  mount_point:
    path: /srv/shared
"""

RETURN = """
protected:
  description: Whether the folder is immutable afterwards; null where its filesystem knows no such thing.
  returned: success
  type: bool
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.storage import mounts


def main() -> None:
    """Make what is missing, and exit."""
    module = AnsibleModule(
        argument_spec={"path": {"type": "path", "required": True}, "protected": {"type": "bool", "default": True}},
        supports_check_mode=True,
    )
    path, wanted = Path(module.params["path"]), bool(module.params["protected"])

    def work() -> dict[str, object]:
        made = not path.is_dir()
        if made and module.check_mode:
            return {"changed": True, "protected": wanted}
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        is_protected = mounts.is_protected(path)
        differs = is_protected is not None and is_protected != wanted
        if differs and not module.check_mode:
            mounts.protect(path, wanted)
        return {"changed": made or differs, "protected": None if is_protected is None else wanted}

    finish(module, work)


if __name__ == "__main__":
    main()
