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
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

from ansible.module_utils.groundwork.errors import GroundworkError

T = TypeVar("T")
KILL_SECONDS = 0.5
"""SIGKILL needs a moment; a process asleep in the kernel is left to init."""
REMEDY = "Look for NVRM and Xid lines in the kernel's log (dmesg); a device that hangs needs a reset or a reboot."
LENGTH = struct.Struct("!Q")


class DeadlineError(GroundworkError):
    """The child gave no answer in time."""


@dataclass(frozen=True)
class Child(Generic[T]):
    """A child at work: its process id, the pipe that its answers come through, and what it does, in words."""

    pid: int
    answer: int
    what: str


def start(work: Callable[[], T], what: str) -> Child[T]:
    """Fork a child that does `work`; its result, or the GroundworkError it raised, must survive pickling."""
    return stream(lambda: (work(),), what)


def stream(work: Callable[[], Iterable[T]], what: str) -> Child[T]:
    """Fork a child that does a work of several parts; each is sent as soon as it is there."""
    receiver, sender = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_child(work, sender)
    os.close(sender)
    return Child(pid, receiver, what)


@contextlib.contextmanager
def ended(child: Child[T]) -> Iterator[Child[T]]:
    """The child, which is gone after the block."""
    try:
        yield child
    finally:
        os.close(child.answer)
        _end(child.pid)


def part(child: Child[T], deadline: float) -> T:
    """Return the next part of the child's work, or raise its error; see `result`."""
    return _receive(child, deadline)


def result(child: Child[T], deadline: float) -> T:
    """Return the child's result, or raise its error.

    deadline  on time.monotonic()'s clock, in seconds

    Raises DeadlineError when nothing came in time, and GroundworkError when the child died.
    """
    with ended(child):
        return _receive(child, deadline)


def call(work: Callable[[], T], seconds: float, what: str) -> T:
    """One piece of work under a deadline of its own."""
    return result(start(work, what), time.monotonic() + seconds)


def _be_child(work: Callable[[], Iterable[object]], sender: int) -> NoReturn:
    """Never returns: the parent's exit handlers and buffers are not this process's to run or flush."""
    try:
        os.setsid()
        _let_go_of_streams()
        for part_of_it in work():
            _send(sender, (part_of_it, None))
    except GroundworkError as error:
        _send(sender, (None, error))
    except Exception as error:
        _send(sender, (None, GroundworkError(f"Unexpected: {error!r}", "This is a defect of Groundwork: report it.")))
        raise
    finally:
        os._exit(0)


def _send(sender: int, answer: tuple[object, GroundworkError | None]) -> None:
    """A message is its length and its pickle. What cannot be pickled is an error of the work, so it comes first."""
    text = pickle.dumps(answer)
    left = memoryview(LENGTH.pack(len(text)) + text)
    while left:
        left = left[os.write(sender, left) :]


def _let_go_of_streams() -> None:
    """A child that hangs for ever must not keep the module's connection open."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)


def _receive(child: Child[T], deadline: float) -> T:
    (length,) = LENGTH.unpack(_read(child, LENGTH.size, deadline))
    value, error = pickle.loads(_read(child, length, deadline))  # noqa: S301 - our own process wrote it
    if error is not None:
        raise error
    found: T = value
    return found


def _read(child: Child[T], size: int, deadline: float) -> bytes:
    found = b""
    while len(found) < size:
        if not select.select([child.answer], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise DeadlineError(
                f"No answer in time from {child.what}",
                REMEDY,
            )
        more = os.read(child.answer, size - len(found))
        if not more:
            raise GroundworkError(f"The process that read {child.what} died", "Look for its crash in the journal.")
        found += more
    return found


def _end(pid: int) -> None:
    """Kill and reap the child, without waiting for one that cannot be killed."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    end, pause = time.monotonic() + KILL_SECONDS, 0.0002
    while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < end:
        time.sleep(pause)
        pause *= 2
