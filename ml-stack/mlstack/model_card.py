"""What a model's folder says of itself: `mlstack.json`, beside its weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from mlstack.errors import UsageError

FILE = "mlstack.json"
Kind = Literal["tfidf-linear", "transformer", "causal-lm"]


@dataclass(frozen=True)
class ModelCard:
    """Where a model came from.

    kind        tfidf-linear (the baseline), transformer (text classification) or causal-lm
    run_name    of the run that made it: a hash of its inputs; MLflow knows the run by its tag `mlstack.run_name`
    data_md5    of the data set's version, as DVC names it
    git_commit  "" outside a repository
    labels      in the order of a prediction's columns; none for causal-lm
    max_tokens  longer texts are cut; 0 where there is no tokenizer
    """

    kind: Kind
    run_name: str
    data_md5: str
    git_commit: str
    labels: tuple[str, ...] = ()
    max_tokens: int = 0

    def write(self, folder: Path) -> None:
        """Write it into a model's folder."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2) + "\n")


def read(folder: Path) -> ModelCard:
    """The card of a model's folder. Raises UsageError where there is none."""
    try:
        given = json.loads((folder / FILE).read_text())
        return ModelCard(**given | {"labels": tuple(given["labels"])})
    except (OSError, ValueError, TypeError, KeyError):
        raise UsageError(
            f"{folder} holds no model of mlstack's: {FILE} is missing or damaged",
            "Make it by `mlstack baseline` or `mlstack train`.",
        ) from None
