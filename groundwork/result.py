"""What a run says while it goes on, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from groundwork.report import Report

EventKind = Literal["play", "task", "ok", "changed", "skipped", "ignored", "failed", "unreachable"]
FailureKind = Literal["task", "unreachable", "check", "run"]
Status = Literal["successful", "failed", "canceled"]


@dataclass(frozen=True)
class Event:
    """One step of a run, told when it happens.

    kind             play and task: one begins; the others: how a host ended its task. `failed` may yet be rescued by
                     the playbook; `ignored` is a failure that the playbook passes over
    elapsed_seconds  since the run began
    host             empty for play and task
    where            the task's `file:line`, below the project where it lies there
    message          what went wrong; empty where nothing did
    diff             with diff=True what a change did, as the module told it: {before, after, before_header,
                     after_header} or {prepared}
    """

    kind: EventKind
    elapsed_seconds: float
    play: str = ""
    host: str = ""
    role: str = ""
    task: str = ""
    where: str = ""
    message: str = ""
    diff: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Failure:
    """One reason why a run is not ok.

    kind     task         a task failed on a host
             unreachable  a host did not answer
             check        a check of preflight or of the report failed; `check` is its stable name
             run          Ansible itself stopped: a playbook or an inventory it cannot read, no host to work on
    host     empty for `run`
    message  what was found, and in `wanted` what was expected, where it is a check
    remedy   what to do about it; empty where nobody but the message's reader can know
    where    the task's `file:line`, below the project where it lies there
    """

    kind: FailureKind
    message: str
    host: str = ""
    remedy: str = ""
    play: str = ""
    role: str = ""
    task: str = ""
    where: str = ""
    check: str = ""
    wanted: str = ""


@dataclass(frozen=True)
class Counts:
    """How many tasks of a host ended in which way. As in Ansible's recap, `ok` counts the changed ones too."""

    ok: int = 0
    changed: int = 0
    failed: int = 0
    unreachable: int = 0
    skipped: int = 0
    rescued: int = 0
    ignored: int = 0


@dataclass(frozen=True)
class Result:
    """What a run came to.

    rc         ansible-playbook's exit status; 254 where it was cancelled or ended by a signal
    hosts      counts by host
    report     the report, where this run wrote one
    artifacts  the directory of ansible-runner's files, where they were kept
    """

    playbook: str
    status: Status
    rc: int
    elapsed_seconds: float
    hosts: Mapping[str, Counts] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    report: Report | None = None
    artifacts: Path | None = None

    @property
    def ok(self) -> bool:
        """Whether everything that was asked for was done."""
        return self.status == "successful"

    @property
    def changed(self) -> int:
        """How many tasks changed something, on all hosts."""
        return sum(counts.changed for counts in self.hosts.values())

    def to_dict(self) -> dict[str, Any]:
        """The JSON shape that `groundwork run --json` prints."""
        return {
            "ok": self.ok,
            "status": self.status,
            "rc": self.rc,
            "playbook": self.playbook,
            "elapsed_seconds": round(self.elapsed_seconds, 1),
            "changed": self.changed,
            "hosts": {name: asdict(counts) for name, counts in self.hosts.items()},
            "failures": [asdict(failure) for failure in self.failures],
            "report": self.report.to_dict() if self.report else None,
            "artifacts": str(self.artifacts) if self.artifacts else None,
        }
