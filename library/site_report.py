#!/usr/bin/python
"""Ansible module site_report."""

from __future__ import annotations

DOCUMENTATION = """
module: site_report
short_description: Write the report on a site, JSON for machines and one HTML page for people
description:
  - Writes C(report.json) and C(report.html) into a directory on the controller.
  - A report is no change of the site, so the module never counts as changed; C(is_news) says whether it says something
    new.
options:
  directory:
    description: Where to write; made where it is not there.
    type: path
    required: true
  cluster:
    description: The name of the site's cluster.
    type: str
    required: true
  hosts:
    description:
      - By host name C(groups), C(system), C(checks), C(gpus), C(resources), C(versions) and C(endpoints); each may be
        left out.
      - C(gpus) as M(nvidia_gpu_info) returns them, C(resources) what its node offers of them, C(offered) of
        M(kubernetes_gpu_sharing_info); C(versions) says what runs in which version, C(endpoints) where
        things answer, both by name.
    type: dict
    required: true
  elapsed_seconds:
    description: How long the run took.
    type: float
author: Groundwork
"""

EXAMPLES = """
- name: Write the report
  site_report:
    directory: artifacts/lab
    cluster: lab
    hosts:
      n1: {groups: [control_plane], checks: "{{ __microk8s_node_checks }}"}
  delegate_to: localhost
  run_once: true
"""

RETURN = """
ok:
  description: Whether no check failed.
  returned: always
  type: bool
status:
  description: The most serious status of all checks.
  returned: always
  type: str
counts:
  description: How many checks have each status.
  returned: always
  type: dict
  sample: {ok: 41, skipped: 1, warning: 0, failed: 0}
is_news:
  description: Whether the report differs from the one before in more than its times; null in check mode.
  returned: always
  type: bool
json:
  description: The path of report.json.
  returned: always
  type: str
html:
  description: The path of report.html.
  returned: always
  type: str
"""

import datetime
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.report.model import make
from ansible.module_utils.groundwork.report.write import write


def main() -> None:
    """Write the report and exit."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "cluster": {"type": "str", "required": True},
            "hosts": {"type": "dict", "required": True},
            "elapsed_seconds": {"type": "float"},
        },
        supports_check_mode=True,
    )
    given = dict(module.params)
    directory = Path(given.pop("directory"))
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")

    def work() -> dict[str, object]:
        report = make(generated_at=now, **given)
        is_news = None if module.check_mode else write(report, directory)
        summary = {key: report.to_dict()[key] for key in ("ok", "status", "counts")}
        paths = {kind: str(directory / f"report.{kind}") for kind in ("json", "html")}
        return {**summary, **paths, "is_news": is_news}

    finish(module, work)


if __name__ == "__main__":
    main()
