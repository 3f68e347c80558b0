"""Small text files in one step."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.groundwork import text_files
from ansible.module_utils.groundwork.errors import GroundworkError


def test_what_differs_is_written_once(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").write_text("same")
    wanted = {"a": "new", "b": "same", "deep/down/c": "fresh"}
    found = text_files.plan(tmp_path, wanted)
    assert [(str(each.path.relative_to(tmp_path)), each.before, each.after) for each in found] == [
        ("a", "old", "new"),
        ("deep/down/c", "", "fresh"),
    ]
    text_files.apply(tmp_path, found)
    assert text_files.plan(tmp_path, wanted) == []
    assert (tmp_path / "deep/down").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "deep/down/c").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "c", "deep", "down"]


def test_the_directory_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(GroundworkError, match="no directory"):
        text_files.plan(tmp_path / "none", {"a": ""})
