"""Groundwork for automation: run its playbooks, follow them, and get failures and the report as data.

docs/automation.md shows how; `groundwork.run` is where to begin.
"""

from groundwork.errors import UsageError
from groundwork.report import Check, HostReport, Report, newest, read
from groundwork.result import Counts, Event, Failure, Result
from groundwork.running import run

__all__ = [
    "Check",
    "Counts",
    "Event",
    "Failure",
    "HostReport",
    "Report",
    "Result",
    "UsageError",
    "newest",
    "read",
    "run",
]
