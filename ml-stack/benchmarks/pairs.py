"""Ours beside the plain alternative: pairs are interleaved, so that what else the machine does meets both."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence

RESAMPLES = 2000


def interval(ratios: Sequence[float]) -> tuple[float, float, float]:
    """The median, and the ends of its 95 % interval by bootstrap."""
    dice = random.Random(7)  # noqa: S311 - no secrecy
    medians = sorted(statistics.median(dice.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    return statistics.median(ratios), medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES)]


def compare(ours: Callable[[], float], plain: Callable[[], float], pairs: int) -> list[float]:
    """The ratio of each pair's seconds; who begins changes from pair to pair, and a pair before them warms both up."""
    ours(), plain()
    ratios = []
    for number in range(pairs):
        first, second = (ours, plain) if number % 2 else (plain, ours)
        one, two = first(), second()
        ratios.append(one / two if number % 2 else two / one)
    return ratios
