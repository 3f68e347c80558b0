"""What a build made stays while its inputs do, and is never half of anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import kept, paths


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "CACHE", tmp_path)
    return tmp_path


def test_the_same_inputs_are_built_once(tmp_path: Path) -> None:
    target = tmp_path / "part"
    assert kept.keep(target, "Build", lambda new: (new / "file").write_text("one"), "input")
    assert not kept.keep(target, "Build", lambda new: (new / "file").write_text("two"), "input")
    assert (target / "file").read_text() == "one"


def test_other_inputs_replace_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "part"
    kept.keep(target, "Build", lambda new: (new / "old").write_text("one"), "input")
    assert kept.keep(target, "Build", lambda new: (new / "new").write_text("two"), "another")
    assert sorted(path.name for path in target.iterdir()) == [kept.STAMP, "new"]


def test_a_failed_build_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "part"
    kept.keep(target, "Build", lambda new: (new / "file").write_text("one"), "input")

    def fail(new: Path) -> None:
        (new / "file").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.keep(target, "Build", fail, "another")
    assert (target / "file").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["part"]


def test_the_next_build_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    (tmp_path / ".part.abcd/half").mkdir(parents=True)
    kept.keep(tmp_path / "part", "Build", lambda new: (new / "file").write_text("one"), "input")
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["part"]


def test_a_key_tells_apart_what_differs(tmp_path: Path) -> None:
    def tree(name: str, *files: tuple[str, str]) -> Path:
        for path, text in files:
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(text)
        return tmp_path / name

    trees = [tree("a", ("x", "1")), tree("b", ("x", "2")), tree("c", ("y", "1")), tree("d", ("x", "1"), ("z/x", ""))]
    assert len({kept.key(each) for each in trees}) == len(trees)
    assert kept.key(trees[0]) == kept.key(tree("e", ("x", "1")))
    assert kept.key("ab", "c") != kept.key("a", "bc")
    assert kept.key(("1",)) != kept.key("1")
