"""Makes the data set: points of three spirals in a plane, with noise, and which spiral each belongs to.

    make.py        writes points.csv here

The same bytes wherever it is run: Python documents that a seeded generator's random() gives the same numbers in every
version (https://docs.python.org/3/library/random.html), and they are written to four places.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path

SEED = 20260102
SPIRALS = 3
POINTS = 1000
TURNS = 1.25
NOISE = 0.06
FILE = Path(__file__).with_name("points.csv")


def points() -> Iterator[tuple[float, float, int]]:
    """Yield x and y, both in [-1.2, 1.2], and the number of the spiral."""
    dice = random.Random(SEED)
    for index in range(SPIRALS * POINTS):
        spiral, place = index % SPIRALS, dice.random()
        angle = 2 * math.pi * (place * TURNS + spiral / SPIRALS)
        noise = [NOISE * (dice.random() + dice.random() - 1) for _ in "xy"]
        yield place * math.cos(angle) + noise[0], place * math.sin(angle) + noise[1], spiral


def main() -> None:
    """Write them."""
    lines = ["x,y,spiral", *(f"{x:.4f},{y:.4f},{spiral}" for x, y, spiral in points()), ""]
    FILE.write_text("\n".join(lines), newline="\n")


if __name__ == "__main__":
    main()
