"""How good models are on a split, by label, and by how much one is better than another: with 95 % intervals.

The bootstrap draws texts anew. What a text adds to a score is its label and what each model says of it alone, so it is
enough to draw how often each such combination occurs: exact, paired between models, and as fast for a million texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Metric = Literal["accuracy", "macro_f1"]
Numbers = NDArray[np.float64]
BINS = 10
SEED = 20
"""Of the bootstrap: the same texts and models give the same intervals."""


@dataclass(frozen=True)
class Interval:
    """A score, and the 95 % interval around it."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class LabelScores:
    """How good a model is at one label, which so many of the texts have."""

    precision: Interval
    recall: Interval
    f1: Interval
    texts: int


@dataclass(frozen=True)
class Bin:
    """Texts for which a model was about equally sure: how sure, and how often it was right."""

    texts: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Scores:
    """How good a model is.

    calibration_error  by how much its confidence is off its accuracy, on average over texts (ECE, ten bins)
    confusion          texts by true label (rows) and by predicted label, in the order of the labels
    """

    accuracy: Interval
    macro_f1: Interval
    by_label: Mapping[str, LabelScores]
    calibration_error: float
    calibration: Sequence[Bin]
    confusion: Sequence[Sequence[int]]


class Judge:
    """Scores models on the same texts.

    Args:
        labels: all that the texts have or a model predicts.
        truth: of each text, its label's number.
        probabilities: by model, (texts, labels).
        resamples: of the bootstrap.
    """

    def __init__(
        self, labels: Sequence[str], truth: NDArray[np.int64], probabilities: Mapping[str, NDArray[Any]], resamples: int
    ) -> None:
        self.labels, self.truth, self._probabilities = labels, truth, probabilities
        self.found = {model: told.argmax(axis=1) for model, told in probabilities.items()}
        cells, counts = np.unique(np.stack([truth, *self.found.values()]), axis=1, return_counts=True)
        self._cells = dict(zip(("", *self.found), np.eye(len(labels))[cells], strict=True))
        drawn = np.random.default_rng(SEED).multinomial(len(truth), counts / len(truth), size=resamples)
        self._weights = np.vstack([counts, drawn]).astype(np.float64)  # the first row is what was seen

    def scores(self, model: str) -> Scores:
        """How good a model is."""
        hit, said, true = self._tally(model)
        by_label = {
            label: LabelScores(
                _interval(_ratio(hit, said)[:, number]),
                _interval(_ratio(hit, true)[:, number]),
                _interval(_ratio(2 * hit, said + true)[:, number]),
                int(true[0, number]),
            )
            for number, label in enumerate(self.labels)
        }
        bins = _bins(self._probabilities[model].max(axis=1), self.found[model] == self.truth)
        off = sum(one.texts * abs(one.confidence - one.accuracy) for one in bins) / len(self.truth)
        confusion = np.zeros((len(self.labels), len(self.labels)), dtype=int)
        np.add.at(confusion, (self.truth, self.found[model]), 1)
        accuracy, macro_f1 = (_interval(self._samples(model, metric)) for metric in ("accuracy", "macro_f1"))
        return Scores(accuracy, macro_f1, by_label, off, bins, confusion.tolist())

    def difference(self, model: str, other: str, metric: Metric) -> Interval:
        """By how much a model is better than another on the same texts."""
        return _interval(self._samples(model, metric) - self._samples(other, metric))

    def _samples(self, model: str, metric: str) -> Numbers:
        """A metric of the texts as they are, and of each resample."""
        hit, said, true = self._tally(model)
        if metric == "accuracy":
            found: Numbers = hit.sum(axis=1) / len(self.truth)
            return found
        present = said + true > 0  # scikit-learn, too, leaves out a label that nobody has and nobody says
        f1: Numbers = (_ratio(2 * hit, said + true) * present).sum(axis=1) / present.sum(axis=1)
        return f1

    def _tally(self, model: str) -> tuple[Numbers, Numbers, Numbers]:
        """By resample and label: how often it was said rightly, how often said, and how often true."""
        true, said = self._cells[""], self._cells[model]
        return self._weights @ (true * said), self._weights @ said, self._weights @ true


def _ratio(part: Numbers, whole: Numbers) -> Numbers:
    found: Numbers = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return found


def _interval(samples: Numbers) -> Interval:
    low, high = np.percentile(samples[1:], [2.5, 97.5])
    return Interval(float(samples[0]), float(low), float(high))


def _bins(confidence: NDArray[Any], right: NDArray[np.bool_]) -> list[Bin]:
    numbers = np.minimum((confidence * BINS).astype(int), BINS - 1)
    chosen = [numbers == number for number in range(BINS)]
    return [
        Bin(int(those.sum()), float(confidence[those].mean()), float(right[those].mean()))
        for those in chosen
        if those.any()
    ]
