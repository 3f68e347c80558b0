"""The snap as snapd lists it. Texts of snapd: cmd/snapd/cli/cmd_list.go, notes.go, cmd_services.go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ansible.module_utils.groundwork.command import MISSING, Run
from ansible.module_utils.groundwork.errors import GroundworkError

UNDER_WAY = frozenset({"Do", "Doing", "Undo", "Undoing", "Wait", "Abort"})
"""States of a change that is not finished (snapd, overlord/state/change.go)."""


@dataclass(frozen=True)
class Snap:
    """One row of `snap list`. `channel` is track/risk, None for a snap installed from a file without one."""

    version: str
    revision: str
    channel: str | None
    held: bool
    disabled: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Service:
    """One row of `snap services`."""

    enabled: bool
    active: bool


def observe(run: Run, timeout_seconds: float) -> Snap | None:
    """MicroK8s as it is installed; None where it, or snapd, is not there.

    Raises GroundworkError when snapd does not answer.
    """
    output = run(["snap", "list", "microk8s"], timeout_seconds)
    if output.code == MISSING or "no matching snaps installed" in output.stderr:
        return None
    if output.code:
        raise GroundworkError(f"`snap list` failed: {output.text}", "See `systemctl status snapd`.")
    return parse_list(output.stdout)


def parse_list(text: str, name: str = "microk8s") -> Snap | None:
    """The row of a snap; log lines of snapd may stand before the table."""
    row = next((row for row in _rows(text, "Tracking") if row["Name"] == name), None)
    if row is None:
        return None
    notes = tuple(note for note in row["Notes"].split(",") if note != "-")
    channel = None if row["Tracking"] == "-" else row["Tracking"]
    return Snap(row["Version"], row["Rev"], channel, "held" in notes, "disabled" in notes, notes)


def services(run: Run, timeout_seconds: float) -> dict[str, Service]:
    """MicroK8s's services by name without prefix: daemon-kubelite. Empty where the snap is not there."""
    output = run(["snap", "services", "microk8s"], timeout_seconds)
    rows = _rows(output.stdout, "Startup")
    return {
        row["Service"].removeprefix("microk8s."): Service(row["Startup"] == "enabled", row["Current"] == "active")
        for row in rows
    }


def changes_under_way(run: Run, timeout_seconds: float) -> list[str]:
    """What snapd is doing now, in its own words; two changes of one snap at a time fail."""
    output = run(["snap", "changes"], timeout_seconds)
    return [row["Summary"] for row in _rows(output.stdout, "Summary") if row["Status"] in UNDER_WAY]


def _rows(text: str, heading: str) -> Iterator[dict[str, str]]:
    """Rows below the line that has `heading`, by their headings. Two spaces part columns; cells hold single ones."""
    names: list[str] = []
    for line in text.splitlines():
        cells = re.split(r" {2,}", line.strip(), maxsplit=len(names) - 1 if names else 0)
        if names and len(cells) == len(names):
            yield dict(zip(names, cells, strict=True))
        elif heading in cells:
            names = cells
