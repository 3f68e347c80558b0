"""Work in a child process, under a deadline.

A driver call on a broken GPU can sleep in the kernel, where no signal reaches it: neither a thread nor an alarm gets
out of that. A child can be left behind, and the answers of the others still arrive.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar, cast

from ansible.module_utils.groundwork.errors import GroundworkError

T = TypeVar("T")


class DeadlineError(GroundworkError):
    """The child gave no answer in time."""


@dataclass(frozen=True)
class Child(Generic[T]):
    """A child at work: its process id, the end of the pipe its answer comes from, and what it does, in words."""

    pid: int
    answer: int
    what: str


def start(work: Callable[[], T], what: str) -> Child[T]:
    """Fork a child that does `work`; its result, or the GroundworkError it raised, must survive pickling."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_child(work, writable)
    os.close(writable)
    return Child(pid, readable, what)


def result(child: Child[T], deadline: float) -> T:
    """The child's result, or its error raised here.

    deadline  on time.monotonic()'s clock, in seconds

    Raises DeadlineError when nothing came in time, and GroundworkError when the child died.
    """
    try:
        data = _read(child.answer, deadline)
    finally:
        os.close(child.answer)
        _end(child.pid)
    if data is None:
        raise DeadlineError(
            f"No answer in time from {child.what}",
            "Look for NVRM and Xid lines in the kernel's log (dmesg); a device that hangs needs a reset or a reboot.",
        )
    return _unpack(child, data)


def call(work: Callable[[], T], seconds: float, what: str) -> T:
    """One piece of work under a deadline of its own."""
    return result(start(work, what), time.monotonic() + seconds)


def _be_child(work: Callable[[], T], writable: int) -> NoReturn:
    """Never returns: the parent's exit handlers and buffers are not this process's to run or flush."""
    try:
        os.setsid()
        # A child that hangs for ever must not keep the connection of the module open.
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        try:
            answer = pickle.dumps((work(), None))
        except GroundworkError as error:
            answer = pickle.dumps((None, error))
        except Exception as error:  # the parent must hear of a defect too; standard error is closed here
            answer = pickle.dumps((None, GroundworkError(f"Unexpected: {error!r}", "Please report this.")))
        with os.fdopen(writable, "wb") as pipe:
            pipe.write(answer)
    finally:
        os._exit(0)


def _read(descriptor: int, deadline: float) -> bytes | None:
    """All bytes until the writer closes; None when the deadline passes first."""
    data = b""
    while select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
        piece = os.read(descriptor, 65536)
        if not piece:
            return data
        data += piece
    return None


def _unpack(child: Child[T], data: bytes) -> T:
    """The result out of the child's own bytes; nothing else can write to that pipe."""
    if not data:
        raise GroundworkError(f"The process that was reading {child.what} died", "Look for its crash in the journal.")
    answer: tuple[T | None, GroundworkError | None] = pickle.loads(data)
    value, error = answer
    if error:
        raise error
    return cast(T, value)


def _end(pid: int) -> None:
    """Kill and reap the child, without waiting for one that sleeps in the kernel."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 0.5
    while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < end:
        time.sleep(0.005)  # SIGKILL needs a moment; a process asleep in the kernel is left to init
