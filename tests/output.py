"""What a person looks for in Ansible's output when a test failed: molecule's or a playbook's."""

from __future__ import annotations

import re

TASK = re.compile(r"^(?=.*\bTASK \[)", re.M)
FAILED = re.compile(r"\bfatal: \[|\bfailed: \[|Task failed|UNREACHABLE!")
LINES_OF_A_TASK = 30


def of_interest(output: str, last: int = 30) -> str:
    """The tasks that failed, in the order of the run and each from its beginning, and then the output's last lines."""
    tasks = [task.splitlines()[:LINES_OF_A_TASK] for task in TASK.split(output) if FAILED.search(task)]
    shown = ["\n".join(lines) for lines in tasks]
    return "\n[...]\n".join([*shown, "\n".join(output.splitlines()[-last:])])
