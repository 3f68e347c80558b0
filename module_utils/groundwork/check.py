"""Check: the one type that carries every verdict, in preflight, in verification and in the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from ansible.module_utils.groundwork.errors import GroundworkError

Status = Literal["ok", "skipped", "warning", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)
"""From harmless to serious; the order decides which status sums up several."""


@dataclass(frozen=True)
class Check:
    """One verdict.

    name      stable, `noun.check` in snake_case: `gpu_driver.nvml_answers`
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
        """The JSON shape that modules return and report.json holds."""
        return asdict(self)


def ok(name: str, observed: str, wanted: str = "") -> Check:
    """A check that passed."""
    return Check(name, "ok", observed, wanted or observed)


def failed(name: str, observed: str, wanted: str, remedy: str) -> Check:
    """A check that failed; every failure says what to do."""
    return Check(name, "failed", observed, wanted, remedy)


def warning(name: str, observed: str, wanted: str, remedy: str) -> Check:
    """Something that works, but that somebody should look at."""
    return Check(name, "warning", observed, wanted, remedy)


def skipped(name: str, reason: str) -> Check:
    """A check that could not be judged here, with the reason."""
    return Check(name, "skipped", reason)


def judge(name: str, passed: bool, observed: str, wanted: str, remedy: str) -> Check:
    """Ok or failed, by `passed`; the remedy is dropped where there is nothing to cure."""
    return ok(name, observed, wanted) if passed else failed(name, observed, wanted, remedy)


def from_dict(fields: Mapping[str, object]) -> Check:
    """A check out of its JSON shape, as roles write it.

    Raises GroundworkError for a missing name, an unknown field or an unknown status.
    """
    unknown = set(fields) - {"name", "status", "observed", "wanted", "remedy"}
    status = next((known for known in STATUSES if known == fields.get("status")), None)
    if unknown or status is None or not fields.get("name"):
        raise GroundworkError(
            f"Not a check: {dict(fields)!r}",
            f"Give it name, status ({', '.join(STATUSES)}), observed, wanted and remedy, and nothing else.",
        )
    return Check(str(fields["name"]), status, *(str(fields.get(key, "")) for key in ("observed", "wanted", "remedy")))


def worst(checks: Iterable[Check]) -> Status:
    """The most serious status among the checks; ok for none."""
    return max((check.status for check in checks), key=STATUSES.index, default="ok")


def counts(checks: Iterable[Check]) -> dict[str, int]:
    """How many checks have each status; every status is named, also with 0."""
    found = [check.status for check in checks]
    return {status: found.count(status) for status in STATUSES}
