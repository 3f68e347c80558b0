"""What a validation finds: each fault is put into good data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlstack.check import Check
from mlstack.config import Config, parse
from mlstack.data.validation import validate

Splits = dict[str, list[dict[str, Any]]]


def _good() -> Splits:
    splits: Splits = {}
    for place, (split, count) in enumerate({"train": 400, "validation": 60, "test": 60}.items()):
        splits[split] = [{"text": f"text {place} {number}", "label": "abc"[number % 3]} for number in range(count)]
    return splits


def _validated(folder: Path, splits: Splits) -> dict[str, Check]:
    for split, rows in splits.items():
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config: Config = parse({"data": {"folder": str(folder)}})
    return {check.name.removeprefix("data."): check for check in validate(config).checks}


def test_good_data_passes_every_check(tmp_path: Path) -> None:
    assert {check.status for check in _validated(tmp_path, _good()).values()} == {"ok"}


def _renamed(splits: Splits) -> None:
    splits["test"] = [{"body": row["text"], "label": row["label"]} for row in splits["test"]]


def _retyped(splits: Splits) -> None:
    splits["train"][5]["label"] = 3


def _emptied(splits: Splits) -> None:
    splits["train"][7]["text"] = " "


def _leaked(splits: Splits) -> None:
    splits["test"][0]["text"] = splits["train"][0]["text"].upper()


def _strange(splits: Splits) -> None:
    splits["test"][0]["label"] = "d"


def _rare(splits: Splits) -> None:
    for row in splits["train"][3:]:
        row["label"] = "a"


def _doubled(splits: Splits) -> None:
    splits["train"] += splits["train"][:100]


def _contradicted(splits: Splits) -> None:
    splits["train"][1]["text"] = splits["train"][0]["text"]


def _few(splits: Splits) -> None:
    del splits["test"][10:]


@pytest.mark.parametrize(
    ("fault", "name", "status", "told"),
    [
        (_renamed, "schema", "failed", "test has no text"),
        (_retyped, "schema", "failed", "train mixes types"),
        (_emptied, "no_missing_values", "failed", "train row 7 (text)"),
        (_leaked, "no_leakage", "failed", "train and test 1"),
        (_strange, "labels_are_known", "failed", "d in test"),
        (_rare, "label_balance", "warning", "b"),
        (_doubled, "few_duplicates", "warning", "train 100"),
        (_contradicted, "labels_agree", "warning", "a and b"),
        (_few, "size", "warning", "test 10"),
    ],
)
def test_a_fault_is_found_and_named(
    tmp_path: Path, fault: Callable[[Splits], None], name: str, status: str, told: str
) -> None:
    splits = _good()
    fault(splits)
    found = _validated(tmp_path, splits)[name]
    assert found.status == status
    assert told in found.observed
    assert found.remedy
