"""The report of a validation: one page, and the same as JSON."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

from mlstack import page
from mlstack.check import passed
from mlstack.config import Config
from mlstack.data.records import SPLITS
from mlstack.data.validation import Validated


def write(config: Config, validated: Validated, version: str, folder: Path) -> None:
    """Write `index.html` and `validation.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {
        "data": str(config.data.folder), "version": version, "passed": passed(validated.checks),
        "checks": [check.to_dict() for check in validated.checks],
        "labels": validated.labels, "words": validated.length,
    }  # fmt: skip
    (folder / "validation.json").write_text(json.dumps(found, indent=2) + "\n")
    (folder / "index.html").write_text(_page(config, validated, version), encoding="utf-8")


def _page(config: Config, validated: Validated, version: str) -> str:
    good = passed(validated.checks)
    warned = sum(check.status == "warning" for check in validated.checks)
    verdict = "The data is fit to be learned from" if good else "The data is not fit to be learned from"
    verdict += f"; {warned} thing{'s' if warned > 1 else ''} should be looked at." if warned else "."
    body = f"<h2>Checks</h2>{page.table_of(validated.checks, 'data.')}{_labels(validated)}{_lengths(validated)}"
    title, about = f"{config.model.name}: validation of the data", f"{config.data.folder}, version {version}"
    return page.page(title, about, validated.checks, verdict, body, f"Fields {config.data.text}, {config.data.label}")


def _labels(validated: Validated) -> str:
    """Rows by label and split, with a bar for the share of train."""
    if not validated.labels:
        return ""
    train = validated.labels["train"]
    most = max(train.values(), default=1)
    rows = "".join(
        page.row([
            escape(label),
            f'<div class="bar" style="width: {max(1, round(160 * count / most))}px"></div>',
            *(f"{validated.labels[split].get(label, 0):,}" for split in SPLITS),
        ])
        for label, count in train.items()
    )  # fmt: skip
    return f"<h2>Labels</h2><table><tr><th>label</th><th></th>{_heads()}</tr>{rows}</table>"


def _lengths(validated: Validated) -> str:
    names = ("half of the texts have at most", "95 % have at most", "the longest has")
    rows = "".join(
        page.row([name, *(f"{validated.length[split][number]:,}" for split in SPLITS)])
        for number, name in enumerate(names)
    )
    return f"<h2>Words of a text</h2><table><tr><th></th>{_heads()}</tr>{rows}</table>"


def _heads() -> str:
    return "".join(f"<th>{split}</th>" for split in SPLITS)
