"""Pieces of JSON lines or Parquet that can be read apart from each other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlstack.errors import UsageError

ROWS = 2048
"""Of a chunk: what a killed worker has to do again."""
SUFFIXES = (".jsonl", ".parquet")


@dataclass(frozen=True)
class Chunk:
    """Rows of a file.

    number  of all chunks of a batch
    first   the number of its first row in the file
    start   JSON lines: the offset of its first byte; Parquet: the row group
    size    JSON lines: bytes; Parquet: the row of the group that it begins with
    """

    number: int
    source: str
    first: int
    rows: int
    start: int
    size: int


def plan(source: Path) -> list[Chunk]:
    """The chunks of a file, or of all files of a folder in the order of their names.

    Raises:
        UsageError: where there is nothing to read.
    """
    files = sorted(path for path in source.rglob("*") if path.suffix in SUFFIXES) if source.is_dir() else [source]
    if not files or not all(path.is_file() and path.suffix in SUFFIXES for path in files):
        raise UsageError(f"{source} is no .jsonl or .parquet file, nor a folder of these", "Name one that is.")
    spans = (span for path in files for span in (_lines if path.suffix == ".jsonl" else _groups)(path))
    found = [Chunk(number, *span) for number, span in enumerate(spans)]
    if not found:
        raise UsageError(f"{source} has no rows", "Name a file that has.")
    return found


def read(chunk: Chunk, field: str) -> list[str]:
    """The texts of a chunk. Raises UsageError where a row has none, and names it."""
    rows = _read_lines(chunk, field) if chunk.source.endswith(".jsonl") else _read_group(chunk, field)
    return [_text(value, chunk, number, field) for number, value in enumerate(rows)]


Span = tuple[str, int, int, int, int]


def _lines(path: Path) -> Iterator[Span]:
    with path.open("rb") as file:
        first = rows = start = end = 0
        for line in file:
            rows, end = rows + 1, end + len(line)
            if rows == ROWS:
                yield str(path.resolve()), first, rows, start, end - start
                first, rows, start = first + rows, 0, end
        if rows:
            yield str(path.resolve()), first, rows, start, end - start


def _groups(path: Path) -> Iterator[Span]:
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is no Parquet: {error}", "Name a file that is.") from None
    first = 0
    for group in range(metadata.num_row_groups):
        held = metadata.row_group(group).num_rows
        for begin in range(0, held, ROWS):
            rows = min(ROWS, held - begin)
            yield str(path.resolve()), first, rows, group, begin
            first += rows


def _read_lines(chunk: Chunk, field: str) -> Iterable[Any]:
    with Path(chunk.source).open("rb") as file:
        file.seek(chunk.start)
        lines = file.read(chunk.size).splitlines()
    for number, line in enumerate(lines):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise _fault(chunk, number, f"is no JSON: {error}") from None
        yield row.get(field) if isinstance(row, dict) else None


def _read_group(chunk: Chunk, field: str) -> Iterable[Any]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(chunk.source)
    if field not in file.schema_arrow.names:
        return [None] * chunk.rows
    column = file.read_row_group(chunk.start, columns=[field]).column(field)
    values: list[Any] = column.slice(chunk.size, chunk.rows).to_pylist()
    return values


def _text(value: Any, chunk: Chunk, number: int, field: str) -> str:
    if not isinstance(value, str):
        raise _fault(chunk, number, f"has no text in {field!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _fault(chunk, number, f"has half a surrogate pair in {field!r}") from None
    return value


def _fault(chunk: Chunk, number: int, what: str) -> UsageError:
    return UsageError(
        f"row {chunk.first + number} of {chunk.source} {what}", "Correct it, or set data.text to the field that has it."
    )
