"""The processes of one run, found and ended.

ansible-runner ends a run by SIGKILL to ansible-playbook's process group. Since ansible-core 2.19 workers are leaders of
groups of their own (ansible/executor/process/worker.py, _detach), so they and what they started would stay.
ansible-playbook hands SIGINT on to them, so it is asked first, and what is left is killed. Connections that ssh keeps
open for later runs (ControlPersist) stay, as they do after ansible-playbook.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
END_SECONDS = 10.0
"""How long a process may take to end after SIGKILL: one that waits for a disk takes it late."""
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Process:
    """A process; `started` in clock ticks since boot tells it from a later one of the same number."""

    pid: int
    parent: int
    started: str


def tree(mark: str) -> list[Process]:
    """The processes whose environment holds `mark` (NAME=VALUE), our own child first, and all that descend from them.

    Empty where the system has no /proc.
    """
    running = list(_running())
    roots = [process for process in running if _has(process.pid, mark)]
    roots.sort(key=lambda process: process.parent != os.getpid())
    return _with_descendants(roots, running)


def interrupt(processes: list[Process]) -> None:
    """Send SIGINT to our own child among them."""
    if processes and processes[0].parent == os.getpid():
        _send(processes[0].pid, signal.SIGINT)


def kill(processes: Iterable[Process]) -> None:
    """Send SIGKILL to those that still run, and to what they have started since, until none of them is left."""
    same = {(process.pid, process.started) for process in processes}
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        running = list(_running())
        left = _with_descendants([process for process in running if (process.pid, process.started) in same], running)
        if not left:
            return
        same.update((process.pid, process.started) for process in left)
        for process in left:
            _send(process.pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def _with_descendants(roots: list[Process], running: list[Process]) -> list[Process]:
    found = list(roots)
    for parent in found:  # grows while it is walked
        found += [process for process in running if process.parent == parent.pid and process not in found]
    return found


def _running() -> Iterator[Process]:
    for directory in _PROC.glob("[0-9]*"):
        try:
            # The second field, the name, is in parentheses and may hold anything.
            fields = (directory / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # ended meanwhile
        if fields[0] != "Z":  # a zombie has ended, and waits for its parent
            yield Process(int(directory.name), int(fields[1]), fields[19])


def _has(pid: int, mark: str) -> bool:
    directory = _PROC / str(pid)
    try:
        shared = (directory / "cmdline").read_bytes().startswith(b"ssh: ")
        return not shared and os.fsencode(mark) in (directory / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
