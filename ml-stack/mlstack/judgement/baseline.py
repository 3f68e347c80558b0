"""The baseline: TF-IDF and a linear model, trained in seconds, hard to beat on topics, and never without an answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstack import model_card
from mlstack.errors import UsageError

FILE = "model.skops"
TRUSTED: list[str] = []
"""Types that the file may hold beside those that skops itself knows to be harmless: none."""


class Baseline:
    """A trained baseline as it is served (predictor.Predictor)."""

    def __init__(self, folder: Path) -> None:
        from skops.io import load as load_skops
        from skops.io.exceptions import UntrustedTypesFoundException

        self.labels = model_card.read(folder).labels
        try:
            self._pipeline: Any = load_skops(folder / FILE, trusted=TRUSTED)
        except UntrustedTypesFoundException as error:
            raise UsageError(f"{folder / FILE} holds more than a baseline: {error}", "Do not load it.") from None

    def predict(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities, (texts, labels)."""
        if not texts:
            return np.zeros((0, len(self.labels)), dtype=np.float32)
        found: NDArray[np.float32] = self._pipeline.predict_proba(list(texts)).astype(np.float32)
        return found


def load(folder: Path) -> Baseline:
    """The predictor of a model's folder."""
    return Baseline(folder)
