"""Whether a data set is fit to be learned from: schema, missing values, labels, duplicates, leakage between splits."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mlstack.check import Check
from mlstack.config import Config, Data
from mlstack.data import records
from mlstack.data.records import SPLITS, Row

RAREST = 0.01
"""A label with a smaller share of train is too rare to be learned or judged well."""
SMALLEST_SPLIT = 50
"""Rows below which a split's figures say little."""
DUPLICATE_SHARE = 0.05


@dataclass(frozen=True)
class Validated:
    """What was found.

    checks  verdicts
    labels  rows by split and label
    length  words of a text at 50, 95 and 100 %, by split
    """

    checks: tuple[Check, ...]
    labels: Mapping[str, Mapping[str, int]]
    length: Mapping[str, tuple[int, int, int]]


def validate(config: Config) -> Validated:
    """Judge the data set. Raises UsageError where it is not there at all."""
    data = config.data
    splits = {split: list(records.rows(data, split)) for split in SPLITS}
    labelled = bool(data.label) and config.model.task == "text-classification"
    judges = [_schema, _missing, _size, *([_labels, _balance, _ambiguity] if labelled else []), _duplicates, _leakage]
    labels = {split: _counts(data, rows) for split, rows in splits.items()} if labelled else {}
    return Validated(
        tuple(judge(data, splits) for judge in judges),
        labels,
        {split: _lengths(data, rows) for split, rows in splits.items()},
    )


Splits = Mapping[str, Sequence[Row]]
Judge = Callable[[Data, Splits], Check]


def _schema(data: Data, splits: Splits) -> Check:
    """All rows have the fields that params.yaml names, of one type each, and the splits have the same fields."""
    shapes: dict[str, str] = {}
    for split, rows in splits.items():
        types = {
            name: {type(row[name]).__name__ for row in rows if row.get(name) is not None} for name in _fields(rows)
        }
        shapes[split] = ", ".join(f"{name} ({' or '.join(sorted(kinds)) or 'empty'})" for name, kinds in types.items())
    wanted = [name for name in (data.text, data.label) if name]
    lacking = [f"{split} has no {name}" for split in splits for name in wanted if name not in _fields(splits[split])]
    mixed = [split for split, shape in shapes.items() if " or " in shape]
    differing = [f"{one} and {other} differ" for one, other in pairwise(shapes) if shapes[one] != shapes[other]]
    faults = [*lacking, *(f"{split} mixes types" for split in mixed), *differing]
    observed = "; ".join(faults) or shapes["train"]
    if faults:
        observed += "; " + "; ".join(f"{split}: {shape}" for split, shape in shapes.items())
    return Check(
        "data.schema", "failed" if faults else "ok", observed, f"fields {' and '.join(wanted)}, the same in each split",
        "Name the fields by data.text and data.label, or mend the rows.",
    )  # fmt: skip


def _missing(data: Data, splits: Splits) -> Check:
    names = [name for name in (data.text, data.label) if name]
    found = [
        f"{split} row {number} ({name})"
        for split, rows in splits.items()
        for number, row in enumerate(rows)
        for name in names
        if row.get(name) in (None, "", []) or not str(row[name]).strip()
    ]
    return Check(
        "data.no_missing_values", "failed" if found else "ok", f"{len(found)} missing{_examples(found)}", "none",
        "Fill these in, or leave the rows out.",
    )  # fmt: skip


def _size(_data: Data, splits: Splits) -> Check:
    counts = ", ".join(f"{split} {len(rows):,}" for split, rows in splits.items())
    empty = any(not rows for rows in splits.values())
    small = any(len(rows) < SMALLEST_SPLIT for rows in splits.values())
    return Check(
        "data.size", "failed" if empty else "warning" if small else "ok", counts,
        f"{SMALLEST_SPLIT} rows a split",
        "Add rows: what is judged on few is judged badly.",
    )  # fmt: skip


def _labels(data: Data, splits: Splits) -> Check:
    """What is judged has to be learned first."""
    known = {str(row.get(data.label)) for row in splits["train"]}
    strange = {
        split: sorted({str(row.get(data.label)) for row in rows} - known)
        for split, rows in splits.items()
        if split != "train"
    }
    found = [f"{label} in {split}" for split, labels in strange.items() for label in labels]
    return Check(
        "data.labels_are_known", "failed" if found else "ok",
        f"{len(known)} labels in train" + (f"; not among them: {_examples(found, '')}" if found else ""),
        "every label of validation and test stands in train", "Add rows with these labels to train, or remove them.",
    )  # fmt: skip


def _balance(data: Data, splits: Splits) -> Check:
    counts = _counts(data, splits["train"])
    if not counts:
        return Check("data.label_balance", "skipped", "train has no labels")
    rarest = min(counts, key=lambda label: counts[label])
    share = counts[rarest] / sum(counts.values())
    return Check(
        "data.label_balance", "warning" if share < RAREST else "ok",
        f"the rarest of {len(counts)} labels, {rarest}, has {counts[rarest]} rows of train ({100 * share:.1f} %)",
        f"{100 * RAREST:.0f} % at least", "Add rows with it, and judge by macro_f1: accuracy does not see it.",
    )  # fmt: skip


def _ambiguity(data: Data, splits: Splits) -> Check:
    """The same text with two labels: one of them is wrong."""
    labels: dict[bytes, set[str]] = {}
    for row in splits["train"]:
        labels.setdefault(_key(data, row), set()).add(str(row.get(data.label)))
    found = sorted(" and ".join(sorted(both)) for both in labels.values() if len(both) > 1)
    return Check(
        "data.labels_agree", "warning" if found else "ok",
        f"{len(found)} texts of train have more than one label{_examples(found)}", "none",
        "Decide for one label each.",
    )  # fmt: skip


def _duplicates(data: Data, splits: Splits) -> Check:
    twice = {split: len(rows) - len({_key(data, row) for row in rows}) for split, rows in splits.items()}
    total = sum(len(rows) for rows in splits.values()) or 1
    share = sum(twice.values()) / total
    return Check(
        "data.few_duplicates", "warning" if share > DUPLICATE_SHARE else "ok",
        ", ".join(f"{split} {count}" for split, count in twice.items()) + f" ({100 * share:.1f} %)",
        f"{100 * DUPLICATE_SHARE:.0f} % at most", "Keep one of each: they weigh more than they should.",
    )  # fmt: skip


def _leakage(data: Data, splits: Splits) -> Check:
    """A text of test or validation that train has too: the model may know the answer by heart."""
    keys = {split: {_key(data, row) for row in rows} for split, rows in splits.items()}
    pairs = (("train", "test"), ("train", "validation"), ("validation", "test"))
    found = {f"{one} and {other}": len(keys[one] & keys[other]) for one, other in pairs}
    return Check(
        "data.no_leakage", "failed" if any(found.values()) else "ok",
        "texts in both: " + ", ".join(f"{pair} {count}" for pair, count in found.items()), "none",
        "Remove them from the first of the two; `mlstack data add` does so for train.",
    )  # fmt: skip


def _key(data: Data, row: Row) -> bytes:
    text = " ".join(str(row.get(data.text, "")).lower().split())
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _fields(rows: Sequence[Row]) -> list[str]:
    return sorted({name for row in rows for name in row})


def _counts(data: Data, rows: Sequence[Row]) -> dict[str, int]:
    return dict(Counter(str(row[data.label]) for row in rows if row.get(data.label) is not None).most_common())


def _lengths(data: Data, rows: Sequence[Row]) -> tuple[int, int, int]:
    words = sorted(len(str(row.get(data.text, "")).split()) for row in rows) or [0]
    return words[len(words) // 2], words[int(0.95 * (len(words) - 1))], words[-1]


def _examples(found: Sequence[Any], begin: str = ": ") -> str:
    """The first few, where there are any."""
    if not found:
        return ""
    return begin + ", ".join(map(str, found[:5])) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
