"""Progress: silent when short, with rate and time left when long."""

from __future__ import annotations

import io

from mlstack.progress import Progress


def test_short_work_says_nothing() -> None:
    stream, now = io.StringIO(), [0.0]
    work = Progress("Reading", 10, "texts", lambda: now[0], stream)
    for _ in range(10):
        now[0] += 0.1
        work.advance()
    work.close()
    assert stream.getvalue() == ""


def test_long_work_says_how_much_how_fast_and_how_long_yet() -> None:
    stream, now = io.StringIO(), [0.0]
    work = Progress("Reading", 100, "texts", lambda: now[0], stream)
    for _ in range(20):
        now[0] += 1.0
        work.advance(2, "loss 0.5")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "Reading: 4 of 100 texts (4 %), 2.0 texts/s, 0:02 so far, 0:48 left, loss 0.5"
    assert 3 <= len(lines) <= 5
