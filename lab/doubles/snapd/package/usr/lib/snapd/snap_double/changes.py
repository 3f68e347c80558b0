"""One change at a time: snapd refuses a second one for a snap (overlord/snapstate/conflict.go)."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from . import layout
from .errors import IN_PROGRESS, SnapError

# Real snapctl waits for nothing, and commands of MicroK8s that overlap fail half-way (microk8s#4350). Our own parts of
# the double (agent, kicker, join) would meet far more often than on a real host, being quicker, so they wait this long
# for each other.
PATIENCE_SECONDS = 30.0


@contextmanager
def change(kind: str, name: str, patience: float = 0.0) -> Iterator[None]:
    """Hold the right to change a snap while the block runs.

    Raises:
        SnapError: the snap has another change in progress (status 10).
    """
    _refuse_if_busy(name)
    if os.environ.get("SNAP_COOKIE"):  # a hook of the change itself asks
        yield
        return
    layout.STATE.mkdir(parents=True, exist_ok=True)
    with (layout.STATE / f"change-{name}").open("a+") as holder:
        _take(holder, name, time.monotonic() + patience)
        holder.truncate(0)
        holder.write(kind)
        holder.flush()
        yield


def _refuse_if_busy(name: str) -> None:
    busy = (layout.setting("busy") or {}).get(name)
    if busy:
        raise _in_progress(name, busy)


def _take(holder: IO[str], name: str, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                holder.seek(0)
                raise _in_progress(name, holder.read()) from None
            time.sleep(0.1)  # between two tries; flock has no deadline of its own


def _in_progress(name: str, kind: str) -> SnapError:
    return SnapError(f'snap "{name}" has "{kind}" change in progress', IN_PROGRESS)
