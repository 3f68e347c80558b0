"""How data sets are packed and read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlstack.config import Data
from mlstack.data import records
from mlstack.errors import UsageError


@given(st.lists(st.fixed_dictionaries({"text": st.text(), "label": st.text(min_size=1)}), min_size=1, max_size=40))
@settings(max_examples=25, deadline=None)
def test_packed_shards_give_back_the_rows_in_their_order(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("data")
    assert records.pack(folder, "train", rows) == len(rows)
    assert list(records.rows(Data(folder=folder), "train")) == rows


def test_many_rows_make_several_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "SHARD_ROWS", 10)
    rows = [{"text": str(number), "label": "a"} for number in range(25)]
    records.pack(tmp_path, "train", rows)
    assert len(list(tmp_path.glob("train-*.parquet"))) == 3
    assert records.columns(Data(folder=tmp_path), "train")[0] == [str(number) for number in range(25)]


def test_equal_rows_make_equal_bytes(tmp_path: Path) -> None:
    rows = [{"text": "one", "label": "a"}]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        records.pack(tmp_path / name, "train", rows)
    one, two = ((tmp_path / name / "train-00000.parquet").read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither train-"):
        records.columns(Data(folder=tmp_path), "train")


@pytest.mark.parametrize(
    ("line", "told"), [("{", "train.jsonl:2"), ("[1]", "no JSON object"), ('{"text": "x"}', "'label'")]
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, told: str) -> None:
    good = json.dumps({"text": "x", "label": "a"})
    (tmp_path / "train.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(UsageError, match=told):
        records.columns(Data(folder=tmp_path), "train")


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    records.pack(tmp_path, "train", [{"text": "x", "label": "a"}])
    shard = tmp_path / "train-00000.parquet"
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(UsageError, match="train-00000"):
        records.columns(Data(folder=tmp_path), "train")
