"""Directories that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import paths


def test_a_directory_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "target"
    for text in ("first", "second"):
        with paths.replacing(target) as new:
            (new / "file").write_text(text)
    assert (target / "file").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_a_failure_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(ValueError, match="no"), paths.replacing(target):
        raise ValueError("no")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
