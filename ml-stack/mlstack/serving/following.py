"""The version that a replica serves: whichever has the alias, swapped in place while requests go on.

A replica asks the registry every few seconds and loads a new champion beside the old one; then one assignment makes
the swap. Requests that began with the old one end with it, so none is lost and none waits, and neither promote nor
rollback has to know of serving. A rolling update would start new processes for each champion: seconds of work, twice
the memory of a process and not of a model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlstack.errors import MlstackError
from mlstack.predictor import Predictor
from mlstack.progress import say
from mlstack.serving.schema import Answer, Model, Prediction

LONGEST_PAUSE_SECONDS = 60.0
WARM_UP = ("The first text takes longest.",)


@dataclass(frozen=True)
class Loaded:
    """A version in memory."""

    model: Model
    predictor: Predictor

    def answer(self, probabilities: NDArray[np.float32]) -> Answer:
        """Its predictions as they are told."""
        labels = self.predictor.labels
        predictions = [
            Prediction(label=labels[int(row.argmax())], probabilities=dict(zip(labels, row.tolist(), strict=True)))
            for row in probabilities
        ]
        return Answer(predictions=predictions, model=self.model)


class Follower(threading.Thread):
    """Follows an alias.

    Args:
        find: the number of the version that has the alias now.
        load: the version of a number.
        first: what to begin with where the registry does not answer.
        seconds: how often the registry is asked; less often while it does not answer.
    """

    def __init__(self, find: Callable[[], str], load: Callable[[str], Loaded], first: str, seconds: float) -> None:
        super().__init__(name="champion-follower", daemon=True)
        self._find, self._load, self._seconds = find, load, seconds
        self._ending = threading.Event()
        self.trouble = ""
        self.current = self._warm(self._load(self._wanted() or first))

    def run(self) -> None:
        """Look until told to end."""
        pause = self._seconds
        while not self._ending.wait(pause):
            self.look()
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS) if self.trouble else self._seconds

    def look(self) -> None:
        """Ask the registry once, and swap where another version has the alias."""
        wanted = self._wanted()
        if wanted in ("", self.current.model.version):
            return
        try:
            self.current = self._warm(self._load(wanted))
        except Exception as error:  # noqa: BLE001 - a version that cannot be loaded must not end the one that serves
            self._note(f"version {wanted} cannot be loaded: {error}")
        else:
            say(f"serving version {wanted}")

    def end(self) -> None:
        """Follow no longer."""
        self._ending.set()

    def _wanted(self) -> str:
        """The number that has the alias; "" where nobody knows."""
        try:
            found = self._find()
        except Exception as error:  # noqa: BLE001 - whatever it is, the version in memory goes on
            self._note(error.message if isinstance(error, MlstackError) else str(error))
            return ""
        self.trouble = ""
        return found

    def _note(self, trouble: str) -> None:
        if trouble != self.trouble:
            say(trouble)
        self.trouble = trouble

    @staticmethod
    def _warm(loaded: Loaded) -> Loaded:
        loaded.predictor.predict(WARM_UP)
        return loaded
