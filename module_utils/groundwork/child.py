"""Work in a child process, under a deadline.

A driver call on a broken GPU can sleep in the kernel, where no signal reaches it: neither a thread nor an alarm gets
out of that. A child can be left behind, and the answers of the others still arrive.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Generic, NoReturn, TypeVar

from ansible.module_utils.groundwork.errors import GroundworkError

T = TypeVar("T")
KILL_SECONDS = 0.5
"""SIGKILL needs a moment; a process asleep in the kernel is left to init."""


class DeadlineError(GroundworkError):
    """The child gave no answer in time."""


@dataclass(frozen=True)
class Child(Generic[T]):
    """A child at work: its process id, where its answer comes from, and what it does, in words."""

    pid: int
    answer: Connection
    what: str


def start(work: Callable[[], T], what: str) -> Child[T]:
    """Fork a child that does `work`; its result, or the GroundworkError it raised, must survive pickling."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        _be_child(work, sender)
    sender.close()
    return Child(pid, receiver, what)


def result(child: Child[T], deadline: float) -> T:
    """Return the child's result, or raise its error.

    deadline  on time.monotonic()'s clock, in seconds

    Raises DeadlineError when nothing came in time, and GroundworkError when the child died.
    """
    try:
        return _receive(child, deadline)
    finally:
        child.answer.close()
        _end(child.pid)


def call(work: Callable[[], T], seconds: float, what: str) -> T:
    """One piece of work under a deadline of its own."""
    return result(start(work, what), time.monotonic() + seconds)


def _be_child(work: Callable[[], object], sender: Connection) -> NoReturn:
    """Never returns: the parent's exit handlers and buffers are not this process's to run or flush."""
    try:
        os.setsid()
        _let_go_of_streams()
        sender.send((work(), None))
    except GroundworkError as error:
        sender.send((None, error))
    except Exception as error:
        sender.send((None, GroundworkError(f"Unexpected: {error!r}", "This is a defect of Groundwork: report it.")))
        raise
    finally:
        os._exit(0)


def _let_go_of_streams() -> None:
    """A child that hangs for ever must not keep the module's connection open."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)


def _receive(child: Child[T], deadline: float) -> T:
    if not child.answer.poll(max(0.0, deadline - time.monotonic())):
        raise DeadlineError(
            f"No answer in time from {child.what}",
            "Look for NVRM and Xid lines in the kernel's log (dmesg); a device that hangs needs a reset or a reboot.",
        )
    try:
        value, error = child.answer.recv()
    except EOFError:
        raise GroundworkError(
            f"The process that read {child.what} died", "Look for its crash in the journal."
        ) from None
    if error is not None:
        raise error
    found: T = value
    return found


def _end(pid: int) -> None:
    """Kill and reap the child, without waiting for one that cannot be killed."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + KILL_SECONDS
    while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < end:
        time.sleep(0.005)
