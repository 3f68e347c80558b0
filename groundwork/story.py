"""What ansible-runner's events tell: steps while they happen, and at the end counts, failures and the report's place.

The events are those of ansible-runner's callback plugin (awx_display), described at
https://ansible.readthedocs.io/projects/runner/en/stable/intro/#runner-artifact-job-events-host-and-playbook-events
"""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundwork import report
from groundwork.errors import UsageError
from groundwork.paths import PROJECT
from groundwork.result import Counts, Event, EventKind, Failure, FailureKind

HIDDEN = "failed; what it said is hidden, since it may hold secrets (no_log)"
NO_HOST = Failure(
    "run",
    "No host took part in the run",
    remedy="Look at the groups of the inventory, and at --limit where one was given.",
)
_ENDS: dict[str, EventKind] = {
    "runner_on_ok": "ok",
    "runner_on_skipped": "skipped",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
}
_STATS = {"failed": "failures", "unreachable": "dark"}
"""Where Ansible's own names of counts differ from ours."""
_LAST_LINES = 5


@dataclass(frozen=True)
class _Failed:
    """A failure as it was told, and whether it only sums up checks that failed."""

    failure: Failure
    summary: str = ""


class Story:
    """Takes ansible-runner's events one by one."""

    def __init__(self) -> None:
        self._report: Path | None = None
        self._began = time.monotonic()
        self._stats: Mapping[str, Mapping[str, int]] | None = None
        self._seen: dict[str, Counter[str]] = defaultdict(Counter)
        self._failed: list[_Failed] = []
        self._preflight: dict[str, list[report.Check]] = {}
        self._lines: deque[str] = deque(maxlen=100)

    def take(self, raw: Mapping[str, Any]) -> Iterator[Event]:
        """Note one of ansible-runner's events; yield what it tells a follower, at most one step."""
        name = str(raw.get("event", ""))
        data = raw.get("event_data") or {}
        if name == "playbook_on_stats":
            self._stats = data
        elif name == "playbook_on_play_start":
            yield self._event("play", data)
        elif name == "playbook_on_task_start":
            yield self._event("task", data)
        elif name in _ENDS:
            yield self._ended(_ENDS[name], data)
        elif not data.get("task"):
            self._lines += [line.rstrip() for line in str(raw.get("stdout") or "").splitlines()]

    def counts(self) -> dict[str, Counts]:
        """By host, as Ansible counted them; where it was cut off before that, as they were seen."""
        if self._stats is None:
            return {host: Counts(**seen) for host, seen in sorted(self._seen.items())}
        stats = {name: self._stats.get(_STATS.get(name, name)) or {} for name in Counts.__dataclass_fields__}
        hosts = sorted({host for by_host in stats.values() for host in by_host})
        return {host: Counts(**{name: by_host.get(host, 0) for name, by_host in stats.items()}) for host in hosts}

    def written(self) -> report.Report | None:
        """The report that this run wrote."""
        try:
            return report.read(self._report) if self._report else None
        except UsageError:  # gone meanwhile
            return None

    def failures(self) -> tuple[Failure, ...]:
        """What failed; the checks that did stand in the place of the task that only sums them up."""
        return tuple(dict.fromkeys(failure for told in self._final() for failure in self._in_full(told)))

    def why(self, rc: int) -> tuple[Failure, ...]:
        """Why a run is not ok in which no task failed; nothing where it is."""
        if rc:
            return (Failure("run", self._said() or f"ansible-playbook ended with status {rc} and said nothing"),)
        return () if self.counts() else (NO_HOST,)

    def _ended(self, kind: EventKind, data: Mapping[str, Any]) -> Event:
        res = data.get("res") or {}
        if kind == "ok" and res.get("changed"):
            kind = "changed"
        if kind == "failed" and data.get("ignore_errors"):
            kind = "ignored"
        host = str(data.get("host", ""))
        self._seen[host].update({"ok", kind} if kind in ("changed", "ignored") else {kind})
        if kind in ("ok", "changed"):
            self._note(host, data, res)
        if kind in ("ok", "changed", "skipped"):
            return self._event(kind, data, diff=_diff(res))
        event = self._event(kind, data, message=_message(res))
        if kind in ("failed", "unreachable"):
            self._failed.append(_failed(event, data, res))
        return event

    def _note(self, host: str, data: Mapping[str, Any], res: Mapping[str, Any]) -> None:
        """Keep what roles/preflight and the module site_report found."""
        checks = (res.get("ansible_facts") or {}).get("__preflight_checks")
        if data.get("role") == "preflight" and isinstance(checks, Sequence):
            self._preflight[host] = [report.as_check(check) for check in checks]
        if _action(data) == "site_report" and res.get("is_news") is not None:  # null: check mode, which writes nothing
            self._report = Path(str(res["json"]))

    def _event(
        self, kind: EventKind, data: Mapping[str, Any], message: str = "", diff: tuple[Mapping[str, Any], ...] = ()
    ) -> Event:
        return Event(
            kind=kind,
            elapsed_seconds=time.monotonic() - self._began,
            play=str(data.get("play") or ""),
            host=str(data.get("host") or ""),
            role=str(data.get("role") or ""),
            task=str(data.get("task") or ""),
            where=_where(data),
            message=message,
            diff=diff,
        )

    def _final(self) -> list[_Failed]:
        """Those that were not rescued.

        No event says whether a block rescued a failure, but Ansible counts both. A host's unrescued failure ends its
        work, so the last ones are those. A run that was cut off has no counts: there all are told.
        """
        if self._stats is None:
            return self._failed
        left = {
            kind: Counter(self._stats.get(name) or {}) for kind, name in (("task", "failures"), ("unreachable", "dark"))
        }
        kept = []
        for told in reversed(self._failed):
            failure = told.failure
            if left[failure.kind][failure.host] > 0:
                left[failure.kind][failure.host] -= 1
                kept.append(told)
        return kept[::-1]

    def _in_full(self, told: _Failed) -> list[Failure]:
        checks: list[tuple[str, report.Check]] = []
        if told.summary == "preflight":
            checks = [(host, check) for host, found in self._preflight.items() for check in found]
        elif told.summary == "report" and (written := self.written()):
            checks = written.checks()
        one_by_one = [_of_check(host, check, told.failure) for host, check in checks if check.status == "failed"]
        return one_by_one or [told.failure]

    def _said(self) -> str:
        """What Ansible printed apart from its tasks, from its first error on."""
        lines = [line for line in self._lines if line]
        first = next((number for number, line in enumerate(lines) if line.startswith(("[ERROR]", "ERROR!"))), None)
        return "\n".join(lines[-20:] if first is None else lines[first : first + 20])


def _failed(event: Event, data: Mapping[str, Any], res: Mapping[str, Any]) -> _Failed:
    kind: FailureKind = "unreachable" if event.kind == "unreachable" else "task"
    remedy = str(res.get("remedy") or "")
    if kind == "unreachable":
        remedy = f"Look whether it is up and answers over SSH: `ansible {event.host} -m ping -i INVENTORY` says more."
    message = event.message.removesuffix(remedy).rstrip() if remedy else event.message
    failure = Failure(
        kind=kind,
        message=message,
        host=event.host,
        remedy=remedy,
        play=event.play,
        role=event.role,
        task=event.task,
        where=event.where,
    )
    sums_up = {("preflight", "fail"): "preflight", ("site", "assert"): "report"}
    return _Failed(failure, sums_up.get((event.role, _action(data)), "") if kind == "task" else "")


def _of_check(host: str, check: report.Check, summary: Failure) -> Failure:
    return Failure(
        kind="check",
        message=check.observed,
        host=host,
        remedy=check.remedy,
        play=summary.play,
        role=summary.role,
        task=summary.task,
        where=summary.where,
        check=check.name,
        wanted=check.wanted,
    )


def _message(res: Mapping[str, Any]) -> str:
    """What a failed task said: its message, the items that failed, and the end of what its program printed."""
    if "censored" in res:
        return HIDDEN
    message = res.get("msg") or res.get("reason") or "failed without a message"
    parts = [message if isinstance(message, str) else json.dumps(message)]
    parts += [_item(item) for item in res.get("results") or () if isinstance(item, Mapping) and item.get("failed")]
    printed = str(res.get("stderr") or res.get("module_stderr") or res.get("stdout") or res.get("module_stdout") or "")
    lines = printed.strip().splitlines()[-_LAST_LINES:]
    return "\n".join([*parts, *(line for line in lines if line not in parts[0])]).strip()


def _item(res: Mapping[str, Any]) -> str:
    label = res.get("_ansible_item_label", res.get(str(res.get("ansible_loop_var", "item"))))
    return f"{label}: {_message(res)}"


def _diff(res: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """What changed, for one or several files, and for the items of a loop."""
    items = [res, *(item for item in res.get("results") or () if isinstance(item, Mapping))]
    found: list[Mapping[str, Any]] = []
    for diff in (item.get("diff") for item in items):
        found += [each for each in (diff if isinstance(diff, list) else [diff]) if isinstance(each, Mapping) and each]
    return tuple(found)


def _action(data: Mapping[str, Any]) -> str:
    return str(data.get("task_action", "")).rpartition(".")[2]


def _where(data: Mapping[str, Any]) -> str:
    """Return `roles/x/tasks/run.yml:3`; a file that lies elsewhere keeps its whole path."""
    return str(data.get("task_path") or "").removeprefix(f"{PROJECT}/")
