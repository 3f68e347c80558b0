"""Progress of long work on standard error: how much of how much, how fast, and how long it still takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

SILENT_SECONDS = 2.0
"""What is done within this time says nothing."""
LINE_SECONDS = 5.0
"""Where nobody watches (a log), a line so often; a terminal's one line is rewritten four times a second."""


class Progress:
    """One piece of work that is counted.

    Args:
        title: what is being done.
        total: how many units there are, or 0 where nobody knows.
        unit: their name in the plural.
        clock: seconds that only grow.
        stream: where it is said.
    """

    def __init__(
        self,
        title: str,
        total: int,
        unit: str,
        clock: Callable[[], float] = time.monotonic,
        stream: TextIO | None = None,
    ) -> None:
        self._title, self._total, self._unit, self._clock = title, total, unit, clock
        self._stream = stream or sys.stderr
        self._every = 0.25 if self._stream.isatty() else LINE_SECONDS
        self._began = clock()
        self._said = self._began + SILENT_SECONDS - self._every
        self._spoke = False
        self.done = 0

    def advance(self, units: int = 1, note: str = "") -> None:
        """Count units that are done; `note` (a loss, say) stands at the line's end."""
        self.done += units
        now = self._clock()
        if now - self._said >= self._every:
            self._said = now
            self._say(now - self._began, note)

    def close(self) -> None:
        """Say how it ended, where it said anything before."""
        if self._spoke:
            self._say(self._clock() - self._began, "")
            if self._stream.isatty():
                self._stream.write("\n")

    def _say(self, elapsed: float, note: str) -> None:
        rate = self.done / elapsed if elapsed else 0.0
        parts = [f"{self._title}: {self._count()}", f"{_rate(rate)} {self._unit}/s", f"{_duration(elapsed)} so far"]
        if 0 < self.done < self._total:
            parts.append(f"{_duration((self._total - self.done) / rate)} left")
        line = ", ".join([*parts, *filter(None, [note])])
        self._spoke = True
        self._stream.write(f"\r\033[K{line}" if self._stream.isatty() else f"{line}\n")
        self._stream.flush()

    def _count(self) -> str:
        if not self._total:
            return f"{self.done:,} {self._unit}"
        return f"{self.done:,} of {self._total:,} {self._unit} ({100 * self.done // self._total} %)"


@contextmanager
def progress(title: str, total: int, unit: str) -> Iterator[Progress]:
    """A piece of work, from its begin to its end, however it ends."""
    work = Progress(title, total, unit)
    try:
        yield work
    finally:
        work.close()


def say(text: str) -> None:
    """A line for people, on standard error; standard output is for results."""
    print(text, file=sys.stderr, flush=True)


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
