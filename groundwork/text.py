"""Runs and reports as people read them."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from groundwork.report import Check, Report
from groundwork.result import Event, Failure, Result


def follow(event: Event) -> None:
    """Say on standard error that a play begins, and with diff=True what changed; standard output is for results."""
    if event.kind == "play":
        _say(event.elapsed_seconds, event.play)
    elif event.diff:
        _say(event.elapsed_seconds, f"  {event.host}: {_task(event.role, event.task)}")
        for line in differences(event.diff):
            print(f"          {line}", file=sys.stderr, flush=True)


def result(found: Result) -> str:
    """What a run came to: the verdict, then every failure with its remedy."""
    verdict = {"successful": "ok", "failed": "FAILED", "canceled": "CANCELLED"}[found.status]
    out_of_reach = sum(1 for counts in found.hosts.values() if counts.unreachable)
    parts = [f"{len(found.hosts)} hosts", f"{found.changed} changed", f"{len(found.failures)} failures"]
    parts += [f"{out_of_reach} hosts without an answer"] * bool(out_of_reach)
    head = f"{verdict}: {found.playbook}: {', '.join(parts)}, {_minutes(found.elapsed_seconds)}"
    lines = [head, *_failures(found.failures)]
    if found.report:
        path = found.report.path
        lines += ["", f"The report: {path.with_suffix('.html')} (and {path.name} for machines)"]
    return "\n".join(lines)


def report(found: Report) -> str:
    """A report: the verdict, what somebody should look at, what runs and where it answers."""
    counts = ", ".join(f"{count} {status}" for status, count in found.counts.items() if count)
    lines = [f"{'ok' if found.ok else 'FAILED'}: cluster {found.cluster}, {found.generated_at}: {counts}"]
    for name, host in found.hosts.items():
        gpus = f", {len(host.gpus)} GPUs" if host.gpus else ""
        lines += [f"  {name:12} {host.status:8} {', '.join(host.groups)} ({host.system}){gpus}"]
    for status in ("failed", "warning"):
        for check, hosts in _by_check(found.checks(status)):
            title = f"{status.upper()} {check.name}"
            lines += ["", *_paragraph(title, hosts, check.observed, check.wanted, check.remedy)]
    for title, table in (("Versions", found.versions), ("Endpoints", found.endpoints)):
        lines += ["", title, *(f"  {name:28} {value}" for name, value in table.items())] if table else []
    return "\n".join(lines)


def differences(diffs: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The lines that a change takes away and adds."""
    for diff in diffs:
        if "prepared" in diff:
            yield from str(diff["prepared"]).splitlines()
            continue
        before, after = (_lines(diff.get(key)) for key in ("before", "after"))
        old, new = (str(diff.get(f"{key}_header", key)) for key in ("before", "after"))
        yield from difflib.unified_diff(before, after, old, new, n=2, lineterm="")


def _failures(failures: Iterable[Failure]) -> Iterator[str]:
    """One paragraph each; those that several hosts share stand there once."""
    hosts: dict[tuple[str, ...], list[str]] = {}
    for failure in failures:
        title = failure.check or _task(failure.role, failure.task) or "Ansible"
        where = "" if failure.check else failure.where
        key = (title, failure.message, failure.wanted, failure.remedy, where)
        hosts.setdefault(key, []).append(failure.host)
    for (title, message, wanted, remedy, where), names in hosts.items():
        yield ""
        yield from _paragraph(title, names, message, wanted, remedy, where)


def _paragraph(
    title: str, hosts: Iterable[str], observed: str, wanted: str, remedy: str, where: str = ""
) -> Iterator[str]:
    named = ", ".join(dict.fromkeys(host for host in hosts if host))
    yield f"{title}  [{named}]" if named else title
    for label, text in (("found", observed), ("wanted", wanted), ("remedy", remedy), ("where", where)):
        if text:
            yield f"  {label + ':':8}" + text.strip().replace("\n", "\n          ")


def _by_check(checks: Iterable[tuple[str, Check]]) -> list[tuple[Check, list[str]]]:
    hosts: dict[Check, list[str]] = {}
    for host, check in checks:
        hosts.setdefault(check, []).append(host)
    return list(hosts.items())


def _lines(text: object) -> list[str]:
    if isinstance(text, Mapping):
        return [f"{key}: {value}" for key, value in text.items()]
    return str(text or "").splitlines()


def _task(role: str, task: str) -> str:
    return f"{role}: {task}" if role else task


def _minutes(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} minutes"


def _say(seconds: float, text: str) -> None:
    minutes, rest = divmod(seconds, 60)
    print(f"{minutes:3.0f}:{rest:04.1f}  {text}", file=sys.stderr, flush=True)
