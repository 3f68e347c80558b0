from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlstack.errors import UsageError
from mlstack.serving import chunks

TEXTS = [f"text {number}, größer" for number in range(10)]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "ROWS", 3)


def write(path: Path, texts: list[str]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"text": texts, "other": range(len(texts))}), path, row_group_size=4)
    else:
        path.write_text("\n".join(json.dumps({"text": text}, ensure_ascii=False) for text in texts))
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_chunks_are_the_file_in_its_order(tmp_path: Path, name: str) -> None:
    planned = chunks.plan(write(tmp_path / name, TEXTS))
    assert [text for chunk in planned for text in chunks.read(chunk, "text")] == TEXTS
    assert [chunk.number for chunk in planned] == list(range(len(planned)))
    assert sum(chunk.rows for chunk in planned) == 10
    assert max(chunk.rows for chunk in planned) == 3
    ends = [chunk.first + chunk.rows for chunk in planned]
    assert [chunk.first for chunk in planned] == [0, *ends[:-1]]


def test_a_folder_is_its_files_by_name(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl", TEXTS[5:])
    write(tmp_path / "a.parquet", TEXTS[:5])
    (tmp_path / "README.md").write_text("not data")
    assert [text for chunk in chunks.plan(tmp_path) for text in chunks.read(chunk, "text")] == TEXTS


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"text": 7}', "has no text in 'text'"),
        ('{"other": "a"}', "has no text in 'text'"),
        ('["a"]', "has no text in 'text'"),
        ("{", "is no JSON"),
        ("", "is no JSON"),
        ('{"text": "\\ud800"}', "has half a surrogate pair"),
    ],
)
def test_a_row_without_a_text_is_named(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n' * 4 + line + "\n")
    with pytest.raises(UsageError, match=rf"row 4 of .*a.jsonl {told}"):
        [chunks.read(chunk, "text") for chunk in chunks.plan(path)]


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", TEXTS)
    with pytest.raises(UsageError, match=r"row 0 of .*a.parquet has no text in 'body'"):
        chunks.read(chunks.plan(path)[0], "body")


@pytest.mark.parametrize("name", ["missing.jsonl", "a.csv", "empty", "empty.jsonl", "damaged.parquet"])
def test_what_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text("text\na\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1")
    with pytest.raises(UsageError):
        chunks.plan(tmp_path / name)
