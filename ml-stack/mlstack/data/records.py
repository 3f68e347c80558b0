"""How a data set lies on disk: a folder with train, validation and test, each of packed shards or of JSON lines."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from mlstack.config import Data
from mlstack.errors import UsageError

SPLITS = ("train", "validation", "test")
SHARD_ROWS = 50_000
"""Rows of one shard: few enough files for a copy at a disk's speed, small enough ones to be read in parallel."""
Row = Mapping[str, Any]


def columns(data: Data, split: str) -> tuple[list[Any], list[str]]:
    """Texts (or chats) and labels of a split, in its order; no labels where `data.label` is empty.

    Raises:
        UsageError: where the split or one of the fields is missing.
    """
    found = list(rows(data, split))
    names = [data.text, *filter(None, [data.label])]
    for number, row in enumerate(found):
        missing = [name for name in names if row.get(name) is None]
        if missing:
            raise UsageError(
                f"row {number} of {split} in {data.folder} has no {' and no '.join(map(repr, missing))}",
                "Look at `mlstack validate`; data.text and data.label in params.yaml name the fields.",
            )
    return [row[data.text] for row in found], [str(row[data.label]) for row in found] if data.label else []


def rows(data: Data, split: str) -> Iterator[Row]:
    """The rows of a split, in its order. Raises UsageError where it is missing or cannot be read."""
    files = [*sorted(data.folder.glob(f"{split}-*.parquet")), *data.folder.glob(f"{split}.jsonl")]
    if not files:
        raise UsageError(
            f"{data.folder} has neither {split}-*.parquet nor {split}.jsonl",
            "Fetch it by `mlstack data pull`, or make it by `mlstack data add`.",
        )
    for file in files:
        yield from _lines(file) if file.suffix == ".jsonl" else _shard(file)


def pack(folder: Path, split: str, found: Iterable[Row]) -> int:
    """Write a split as packed shards; returns how many rows it has. Equal rows make equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = 0
    for number, shard in enumerate(batched_rows(found, SHARD_ROWS)):
        table = pa.Table.from_pylist([dict(row) for row in shard])
        pq.write_table(table, folder / f"{split}-{number:05}.parquet", compression="zstd", store_schema=False)
        count += len(shard)
    return count


def batched_rows(found: Iterable[Row], size: int) -> Iterator[Sequence[Row]]:
    """The rows, so many at a time."""
    left = iter(found)
    while shard := list(islice(left, size)):
        yield shard


def held_out(text: str, share: float) -> bool:
    """Whether a text belongs to the part that is held out: the text itself decides, so that a rerun agrees."""
    return zlib.crc32(text.encode()) / 2**32 < share


def _lines(file: Path) -> Iterator[Row]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UsageError(f"{file}:{number}: {error}", "Each line has to be one JSON object.") from None
            if not isinstance(row, dict):
                raise UsageError(f"{file}:{number}: no JSON object", "Each line has to be one JSON object.")
            yield row


def _shard(file: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as shard:
            for batch in shard.iter_batches():
                yield from batch.to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise UsageError(f"{file} cannot be read: {error}", "Fetch it again by `mlstack data pull`.") from None
