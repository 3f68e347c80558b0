"""Waiting for a condition, with a limit and a message that says what was missing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from ansible.module_utils.groundwork.errors import GroundworkError

T = TypeVar("T")


@dataclass(frozen=True)
class Waiter:
    """Asks again and again. The clock and the pause between two questions are replaced in tests."""

    seconds: float
    every: float = 0.5
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    pause: Callable[[float], None] = field(default=time.sleep, repr=False)

    def until(self, ask: Callable[[], T], good: Callable[[T], bool]) -> tuple[T, bool]:
        """Ask until the answer is good or time is up: the last answer, and whether it was good."""
        end = self.clock() + self.seconds
        while not good(answer := ask()):
            if self.clock() >= end:
                return answer, False
            self.pause(self.every)
        return answer, True

    def need(self, ask: Callable[[], T], good: Callable[[T], bool], missing: Callable[[T], GroundworkError]) -> T:
        """The good answer; raises what `missing` makes of the last one when time is up."""
        answer, was_good = self.until(ask, good)
        if not was_good:
            raise missing(answer)
        return answer
