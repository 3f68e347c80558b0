#!/usr/bin/python
"""Ansible module shared_filesystem_probe."""

from __future__ import annotations

DOCUMENTATION = """
module: shared_filesystem_probe
short_description: Probe whether hosts share a filesystem
description:
  - Judges what is mounted at a path, who root is there, and whether each host sees what the others write, rename,
    delete and lock.
  - Runs on all hosts, a stage on all of them before the next. What a stage returns is handed to the next ones.
  - Each host has a small folder of its own there meanwhile, in check mode too; the last stage takes it away.
    Never counts as a change.
  - Returns checks and does not fail because of them.
options:
  path:
    description: Where the filesystem is mounted.
    type: path
    required: true
  stage:
    description: Which part of the probe, in this order. With one host alone C(begin) and C(leave) are all there is.
    type: str
    choices: [begin, look, change, end, leave]
    required: true
  host:
    description: The name of this host among the others.
    type: str
    required: true
  holder:
    description: The name of the host that holds a lock from C(begin) to C(end).
    type: str
    default: ""
  source:
    description: What shall be mounted there, as C(findmnt) says it. Empty leaves that to the site.
    type: str
    default: ""
  must_be_mounted:
    description: Whether it is a fault that nothing is mounted there yet.
    type: bool
    default: true
  words:
    description: What C(begin) returned as RV(word) on each host, by the host's name.
    type: dict
    default: {}
  faults:
    description: What the stage before returned as RV(faults).
    type: list
    elements: str
    default: []
  timeout_seconds:
    description: How long a host may take to see what another one did. NFS remembers folders for up to a minute.
    type: float
    default: 65
author: Groundwork
"""

EXAMPLES = """
- name: Begin the probe
  shared_filesystem_probe:
    path: /srv/shared
    stage: begin
    host: "{{ inventory_hostname }}"
    holder: "{{ ansible_play_hosts | first }}"
  register: __shared_storage_begun
"""

RETURN = """
checks:
  description: By C(begin), C(shared_storage.path_is_mounted) and C(path_is_writable); by C(end), C(path_is_shared).
  returned: always; empty by the other stages
  type: list
  elements: dict
faults:
  description: What was found until now that a shared filesystem would not do.
  returned: always
  type: list
  elements: str
  sample: [what n2 writes is not seen]
mount:
  description: What is mounted there, by C(begin); null for nothing.
  returned: always
  type: dict
  sample: {type: fuse.glusterfs, source: "n1:/shared", options: "rw,relatime"}
word:
  description: What this host wrote, by C(begin); empty where it could not.
  returned: always
  type: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.storage.shared import STAGES, Found, Stage
from ansible.module_utils.groundwork.waiting import Waiter

EVERY_SECONDS = 2.0
"""Rarely enough for what clients remember to grow old: asking keeps it fresh with some."""


def main() -> None:
    """Do one stage and exit."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "stage": {"type": "str", "choices": list(STAGES), "required": True},
            "host": {"type": "str", "required": True},
            "holder": {"type": "str", "default": ""},
            "source": {"type": "str", "default": ""},
            "must_be_mounted": {"type": "bool", "default": True},
            "words": {"type": "dict", "default": {}},
            "faults": {"type": "list", "elements": "str", "default": []},
            "timeout_seconds": {"type": "float", "default": 65.0},
        },
        supports_check_mode=True,
    )
    given = module.params
    names = ("host", "source", "must_be_mounted", "words", "holder", "faults")

    def work() -> dict[str, object]:
        stage = Stage(Path(given["path"]), **{name: given[name] for name in names})
        found: Found = getattr(stage, given["stage"])(Waiter(given["timeout_seconds"], every=EVERY_SECONDS))
        return found.to_dict()

    finish(module, work)


if __name__ == "__main__":
    main()
