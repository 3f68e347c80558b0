"""What evaluation, serving and batch ask of a model: the texts in, the probabilities of its labels out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mlstack import model_card
from mlstack.errors import UsageError


class Predictor(Protocol):
    """A model that classifies texts; `labels` names the columns of what it predicts."""

    labels: tuple[str, ...]

    def predict(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities, (texts, labels); any text has some, an empty one too."""


def load(folder: Path) -> Predictor:
    """The model of a folder, ready to predict. Raises UsageError where it holds none that classifies."""
    kind = model_card.read(folder).kind
    if kind == "tfidf-linear":
        from mlstack.judgement import baseline

        return baseline.load(folder)
    if kind == "transformer":
        from mlstack.training import classifier

        return classifier.load(folder)
    raise UsageError(f"{folder} holds a model of kind {kind}, which classifies nothing", "Name a classifier's folder.")
