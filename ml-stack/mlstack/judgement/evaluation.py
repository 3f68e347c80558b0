"""A candidate on the test split, beside the baseline and the champion: what is known before the gates decide."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from mlstack import model_card, predictor, registry
from mlstack.config import Config
from mlstack.data import records, store
from mlstack.errors import UsageError
from mlstack.judgement.metrics import Interval, Judge, Metric, Scores
from mlstack.model_card import ModelCard
from mlstack.progress import progress

SPLIT = "test"
FILE = "evaluation.json"
CHUNK = 128
WORST = 20
EXCERPT = 400


@dataclass(frozen=True)
class Judged:
    """One of the models that were judged.

    number  of its version; "" where it is in no registry
    """

    card: ModelCard
    scores: Scores
    number: str = ""


@dataclass(frozen=True)
class Miss:
    """A text that the candidate gets wrong; `others` says what the other models make of it."""

    text: str
    label: str
    said: str
    probability: float
    others: Mapping[str, str]


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    models       candidate, baseline and, where it is another one, champion
    differences  by the other model and by metric: by how much the candidate is better
    misses       where it loses: texts that another model gets right first, of those the surest first
    """

    data_folder: str
    data_md5: str
    texts: int
    labels: Sequence[str]
    models: Mapping[str, Judged]
    differences: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    misses: Sequence[Miss] = ()

    @property
    def candidate(self) -> Judged:
        """The model that all this is about."""
        return self.models["candidate"]


def evaluate(config: Config, candidate: Path, baseline: Path) -> Evaluation:
    """Judge the candidate's folder on the test split, beside the baseline's and the champion.

    Raises:
        UsageError: where a model or the data is not there, or the candidate classifies nothing.
    """
    texts, labels = records.columns(config.data, SPLIT)
    if not texts:
        raise UsageError(f"{config.data.folder} has no texts in {SPLIT}", "See mlstack validate.")
    folders, numbers = _folders(config, candidate, baseline)
    predictors = {model: predictor.load(folder) for model, folder in folders.items()}
    known = sorted({*labels, *(label for one in predictors.values() for label in one.labels)})
    with progress("Evaluating", len(texts) * len(predictors), "texts") as told:
        found = {model: _probabilities(one, texts, known, told.advance) for model, one in predictors.items()}
    truth = np.array([known.index(label) for label in labels])
    judge = Judge(known, truth, found, config.judgement.resamples)
    models = {
        model: Judged(model_card.read(folder), judge.scores(model), numbers.get(model, ""))
        for model, folder in folders.items()
    }
    differences = {model: _differences(judge, model) for model in models if model != "candidate"}
    misses = _misses(judge, found["candidate"], texts)
    md5 = store.version(config.data)
    return Evaluation(config.data.folder.name, md5, len(texts), known, models, differences, misses)


def write(evaluation: Evaluation, folder: Path, more: Mapping[str, Any]) -> None:
    """Write evaluation.json, with more that is said of it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps({**asdict(evaluation), **more}, indent=2) + "\n")


def read(folder: Path) -> dict[str, Any]:
    """What evaluation.json says. Raises UsageError where there is none."""
    try:
        found: dict[str, Any] = json.loads((folder / FILE).read_text())
    except (OSError, ValueError):
        raise UsageError(f"{folder / FILE} is missing or damaged", "Run mlstack evaluate.") from None
    return found


def _folders(config: Config, candidate: Path, baseline: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """The models to judge, each once, and the numbers of their versions."""
    folders = {"candidate": candidate, "baseline": baseline}
    names = {model_card.read(folder).run_name: model for model, folder in folders.items()}
    numbers = {names[one.run_name]: one.number for one in registry.versions(config) if one.run_name in names}
    champion = registry.champion(config)
    if champion and champion.run_name not in names:
        folders["champion"] = registry.fetch(config, champion)
        numbers["champion"] = champion.number
    return folders, numbers


def _differences(judge: Judge, other: str) -> dict[str, Interval]:
    """By metric: by how much the candidate is better than another model."""
    return {metric: judge.difference("candidate", other, metric) for metric in get_args(Metric)}


def _probabilities(
    model: predictor.Predictor, texts: Sequence[str], labels: Sequence[str], told: Any
) -> NDArray[np.float32]:
    """What a model says of each text, in columns of all labels; one that it does not know has none."""
    found = np.zeros((len(texts), len(labels)), dtype=np.float32)
    columns = [labels.index(label) for label in model.labels]
    for start in range(0, len(texts), CHUNK):
        chunk = texts[start : start + CHUNK]
        found[start : start + CHUNK, columns] = model.predict(chunk)
        told(len(chunk))
    return found


def _misses(judge: Judge, probabilities: NDArray[np.float32], texts: Sequence[str]) -> list[Miss]:
    """The texts that the candidate gets wrong; first those that another gets right, then those it is surest of."""
    said = judge.found["candidate"]
    others = {model: found for model, found in judge.found.items() if model != "candidate"}
    sure = probabilities.max(axis=1)
    beaten = np.any([found == judge.truth for found in others.values()], axis=0)
    wrong = sorted(np.flatnonzero(said != judge.truth).tolist(), key=lambda text: (not beaten[text], -sure[text]))
    return [
        Miss(
            texts[text][:EXCERPT] + "…" * (len(texts[text]) > EXCERPT),
            judge.labels[judge.truth[text]],
            judge.labels[said[text]],
            float(sure[text]),
            {model: judge.labels[found[text]] for model, found in others.items()},
        )
        for text in wrong[:WORST]
    ]
