"""Check: the one type that carries every verdict; the same as the toolkit's own, whose reports read alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal, get_args

Status = Literal["ok", "skipped", "warning", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)
"""From harmless to serious."""


@dataclass(frozen=True)
class Check:
    """One verdict.

    name      stable, `noun.check` in snake_case: `data.no_leakage`
    status    ok, skipped (not judged, `observed` says why), warning (works, but somebody should look) or failed
    observed  what was found, for people
    wanted    what was expected
    remedy    what to do where the status is warning or failed
    """

    name: str
    status: Status
    observed: str = ""
    wanted: str = ""
    remedy: str = ""

    def to_dict(self) -> dict[str, str]:
        """The JSON shape: `name`, `status`, `observed`, `wanted`, `remedy`."""
        return asdict(self)


def passed(checks: Iterable[Check]) -> bool:
    """Whether no check failed."""
    return all(check.status != "failed" for check in checks)


def as_text(checks: Iterable[Check]) -> str:
    """The checks for a terminal: a line each, and the remedy below where there is one to give."""
    return "\n".join(_lines(check) for check in checks)


def _lines(check: Check) -> str:
    line = f"{check.status:8} {check.name}: {check.observed}"
    if check.status not in ("warning", "failed"):
        return line
    return f"{line}\n{'':9}wanted: {check.wanted}\n{'':9}remedy: {check.remedy}"
