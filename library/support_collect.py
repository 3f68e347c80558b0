#!/usr/bin/python
"""Ansible module support_collect."""

from __future__ import annotations

DOCUMENTATION = """
module: support_collect
short_description: Collect what a host tells of itself into an archive, without secrets
description:
  - Runs commands and reads files, each under a deadline and bounded in size, a few beside each other.
  - Secrets are taken out in memory, before anything is written. Files that are secrets as a whole are refused.
  - Never fails because of what it could not collect; each item's entry says what came of it.
  - In check mode nothing is run or written; C(planned) says what would be.
  - What it writes is no change of the host.
options:
  wanted:
    description:
      - What to collect, each with C(name), its file in the archive, and C(argv), the words of a command, or C(files), a
        list of paths or patterns of which each goes below the name as a folder.
    type: list
    elements: dict
    required: true
  texts:
    description: What is known already, by the name of its file.
    type: dict
    default: {}
  archive:
    description: Where to write the archive; its folder is made for its owner alone.
    type: path
    required: true
  secret_files:
    description: Patterns of files of the host whose long words are secret wherever they stand. They are not collected.
    type: list
    elements: str
    default: []
  timeout_seconds:
    description: How long one command may take.
    type: float
    default: 30
  all_timeout_seconds:
    description: How long all of them together may take.
    type: float
    default: 300
  file_kib:
    description: How much of one command or file is kept, its end.
    type: int
    default: 2048
  all_mib:
    description: How much is kept of all.
    type: int
    default: 64
author: Groundwork
"""

EXAMPLES = """
- name: Collect
  support_collect:
    wanted:
      - {name: gpu/nvidia-smi.txt, argv: [nvidia-smi, -q]}
      - {name: containerd, files: [/var/snap/microk8s/current/args/containerd*.toml]}
    archive: /run/groundwork/support/host.tar.gz
  register: __support_bundle_told
"""

RETURN = """
entries:
  description: What came of each item; C(status) is collected, empty, absent, failed, timed out, refused or left out.
  returned: success
  type: list
  elements: dict
  sample: [{name: gpu/nvidia-smi.txt, what: nvidia-smi -q, status: collected, size: 21345, removed: 0, note: ""}]
planned:
  description: The commands and files.
  returned: success
  type: list
  elements: str
  sample: [nvidia-smi -q]
"""

from dataclasses import asdict
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.support.collect import KIB, Limits, collect, items


def main() -> None:
    """Collect and exit."""
    module = AnsibleModule(
        argument_spec={
            "wanted": {"type": "list", "elements": "dict", "required": True},
            "texts": {"type": "dict", "default": {}},
            "archive": {"type": "path", "required": True},
            "secret_files": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "timeout_seconds": {"type": "float", "default": 30.0},
            "all_timeout_seconds": {"type": "float", "default": 300.0},
            "file_kib": {"type": "int", "default": 2048},
            "all_mib": {"type": "int", "default": 64},
        },
        supports_check_mode=True,
    )
    given = module.params
    limits = Limits(
        given["timeout_seconds"], given["all_timeout_seconds"], given["file_kib"] * KIB, given["all_mib"] * KIB * KIB
    )

    def work() -> dict[str, object]:
        wanted = items(given["wanted"], limits.bytes)
        planned = [item.what for item in wanted if not item.refusal]
        if module.check_mode:
            return {"planned": planned, "entries": []}
        entries = collect(wanted, given["texts"], given["secret_files"], limits, Path(given["archive"]))
        return {"planned": planned, "entries": [asdict(entry) for entry in entries]}

    finish(module, work)


if __name__ == "__main__":
    main()
