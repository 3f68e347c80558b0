"""Steps that speak: what is being done and how long it took, on standard error; standard output is for results."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_BEGAN = time.monotonic()
_PRINTING = threading.Lock()  # parts of a build run side by side


@contextmanager
def step(title: str) -> Iterator[None]:
    """Say that `title` begins and, after the block, how many seconds it took."""
    began = time.monotonic()
    say(title)
    try:
        yield
    except BaseException:
        say(f"{title}: failed after {time.monotonic() - began:.1f} s")
        raise
    say(f"{title}: done in {time.monotonic() - began:.1f} s")


def say(text: str) -> None:
    """Print one line with the time since the start."""
    minutes, seconds = divmod(time.monotonic() - _BEGAN, 60)
    with _PRINTING:
        print(f"{minutes:3.0f}:{seconds:04.1f}  {text}", file=sys.stderr, flush=True)
