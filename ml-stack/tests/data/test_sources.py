"""What `mlstack data add` makes of a source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlstack.config import Data
from mlstack.data import records, sources
from mlstack.errors import UsageError


def _jsonl(folder: Path, split: str, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _rows(count: int, begin: int = 0) -> list[dict[str, Any]]:
    return [{"text": f"text number {begin + number}", "label": "ab"[number % 2]} for number in range(count)]


def test_a_validation_split_is_held_out_of_train_and_the_same_each_time(tmp_path: Path) -> None:
    _jsonl(tmp_path / "source", "train", _rows(300))
    _jsonl(tmp_path / "source", "test", _rows(50, 1000))
    found = [sources.add(Data(folder=tmp_path / name), str(tmp_path / "source")) for name in ("one", "two")]
    assert found[0] == found[1]
    assert 10 < found[0].rows["validation"] < 60
    assert found[0].rows["train"] + found[0].rows["validation"] == 300
    one, two = (sorted(path.read_bytes() for path in (tmp_path / name).iterdir()) for name in ("one", "two"))
    assert one == two


def test_texts_of_test_are_left_out_of_train(tmp_path: Path) -> None:
    _jsonl(tmp_path / "source", "train", [*_rows(20), {"text": "Known  Before", "label": "a"}])
    _jsonl(tmp_path / "source", "validation", _rows(5, 100))
    _jsonl(tmp_path / "source", "test", [{"text": "known before", "label": "a"}])
    data = Data(folder=tmp_path / "data")
    assert sources.add(data, str(tmp_path / "source")).dropped == 1
    assert "Known  Before" not in records.columns(data, "train")[0]


def test_many_small_files_become_shards(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for number in range(30):
            path = tmp_path / "source" / split / "ab"[number % 2] / f"{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{split} {number}")
    data = Data(folder=tmp_path / "data")
    sources.add(data, str(tmp_path / "source"))
    texts, labels = records.columns(data, "test")
    assert (len(texts), set(labels)) == (30, {"a", "b"})
    assert {path.suffix for path in data.folder.iterdir()} == {".parquet"}


@pytest.mark.parametrize("name", ["nothing", "data"])
def test_what_is_no_source_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(UsageError):
        sources.add(Data(folder=tmp_path / "data"), name)


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    _jsonl(tmp_path / "source", "train", _rows(20))
    _jsonl(tmp_path / "source", "test", _rows(5, 100))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"thesis\.tex"):
        sources.add(Data(folder=tmp_path / "home"), str(tmp_path / "source"))
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["thesis.tex"]
