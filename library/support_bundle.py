#!/usr/bin/python
"""Ansible module support_bundle."""

from __future__ import annotations

DOCUMENTATION = """
module: support_bundle
short_description: Pack what hosts and the cluster told into one archive, with an index, without secrets
description:
  - Takes out what the cluster knows to be secret, in every form in which programs write it, from all of it.
  - The archive is its owner's alone. C(index.html) in it says what is inside, what is missing, and why.
  - A bundle is no change of the site, so the module never counts as changed. In check mode it writes nothing.
options:
  cluster:
    description: The name of the site's cluster.
    type: str
    required: true
  directory:
    description: Where the archive goes; its name has the time.
    type: path
    required: true
  archives:
    description:
      - What M(support_collect) wrote, by the name of the part, such as C(hosts/n1).
      - Those that are not there are left out.
    type: dict
    default: {}
  problems:
    description: Why a part told less than it should, by its name.
    type: dict
    default: {}
  files:
    description: Files of the controller that go along.
    type: list
    elements: path
    default: []
  secrets:
    description: What is known to be secret, each in base64 as Kubernetes keeps it.
    type: list
    elements: str
    default: []
author: Groundwork
"""

EXAMPLES = """
- name: Pack the bundle
  support_bundle:
    cluster: lab
    directory: artifacts/lab
    archives: {hosts/n1: artifacts/lab/.support-bundle/n1.tar.gz}
    problems: {hosts/n2: it does not answer}
  delegate_to: localhost
  run_once: true
  no_log: true
"""

RETURN = """
path:
  description: The archive; empty in check mode.
  returned: success
  type: str
counts:
  description: How many items have each status, by part.
  returned: success
  type: dict
  sample: {hosts/n1: {collected: 71, absent: 12}}
removed:
  description: How many secrets were taken out.
  returned: success
  type: int
checks:
  description:
    - C(support_bundle.all_parts_told), C(support_bundle.commands_ended) and C(support_bundle.secrets_are_known).
  returned: success
  type: list
  elements: dict
"""

import time
from collections import Counter
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.support.bundle import checks, decode, pack


def main() -> None:
    """Pack and exit."""
    module = AnsibleModule(
        argument_spec={
            "cluster": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "archives": {"type": "dict", "default": {}},
            "problems": {"type": "dict", "default": {}},
            "files": {"type": "list", "elements": "path", "default": []},
            "secrets": {"type": "list", "elements": "str", "default": [], "no_log": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    name = f"support-bundle-{given['cluster']}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.tar.gz"
    archives = {part: Path(path) for part, path in given["archives"].items() if Path(path).is_file()}

    def work() -> dict[str, object]:
        if module.check_mode:
            return {"path": "", "counts": {}, "removed": 0, "checks": []}
        to = Path(given["directory"]) / name
        secrets = decode(given["secrets"])
        bundle = pack(given["cluster"], archives, given["problems"], [*map(Path, given["files"])], secrets, to)
        counts = {part.name: dict(Counter(entry.status for entry in part.entries)) for part in bundle.parts}
        removed = sum(entry.removed for part in bundle.parts for entry in part.entries)
        found = [check.to_dict() for check in checks(bundle)]
        return {"path": str(bundle.path), "counts": counts, "removed": removed, "checks": found}

    finish(module, work)


if __name__ == "__main__":
    main()
