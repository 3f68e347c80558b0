"""The table of doubles in docs/lab.md is true: each double has a row, and each row a double."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "docs/lab.md").read_text().split("## What is a double")[1].split("\n## ")[0]
PLACES = [row.split("|")[-2].strip().strip("`") for row in TABLE.splitlines() if re.match(r"\| (?!part \|)", row)]


def parts() -> list[str]:
    """The doubles as they lie in the tree: folders, or their folders where they hold several."""
    found = []
    for double in sorted((ROOT / "lab/doubles").iterdir()):
        if double.is_dir() and double.name != "__pycache__":
            several = double.name in ("nvidia", "system")
            found += [part for part in sorted(double.iterdir()) if part.is_dir()] if several else [double]
    return [str(part.relative_to(ROOT)) for part in found if part.name != "__pycache__"]


@pytest.mark.parametrize("place", PLACES)
def test_every_row_has_its_double(place: str) -> None:
    assert (ROOT / place).exists(), "remove the row, or correct its place"


@pytest.mark.parametrize("part", parts())
def test_every_double_has_its_row(part: str) -> None:
    assert [place for place in PLACES if place == part or place.startswith(f"{part}/")], (
        "say in docs/lab.md what it stands for"
    )


def test_the_table_was_found() -> None:
    assert len(PLACES) >= 10


def test_nothing_rests_on_an_empty_folder() -> None:
    kept = [path for top in ("lab", "roles", "examples") for path in (ROOT / top).rglob("*") if path.is_dir()]
    assert not [path for path in kept if not any(path.iterdir())], (
        "git keeps no empty folders: a fresh clone lacks them"
    )
