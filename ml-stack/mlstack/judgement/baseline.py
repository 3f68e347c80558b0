"""The baseline: TF-IDF and a linear model, trained in seconds, hard to beat on topics, and never without an answer."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile

import numpy as np
from numpy.typing import NDArray

from mlstack import model_card, provenance, runs, tracking
from mlstack.config import Config, Model, Training
from mlstack.data import records, store
from mlstack.errors import UsageError
from mlstack.files import write_whole
from mlstack.progress import progress, say
from mlstack.training.running import Trained, copy_model, finished

KIND = "baseline"
FILE = "model.skops"
STRENGTHS = (10.0, 30.0, 100.0)
"""Inverse regularisations, of which the best on the validation split is taken; TF-IDF wants little of it."""
TOLERANCE = 1e-3
"""On Reuters R8 as good as scikit-learn's default on the test split, in half the time."""


def train(config: Config, out: Path) -> Trained:
    """Train the baseline, unless that was done for this data, and put it into `out`.

    Raises:
        UsageError: where the data is not there, or is too little to learn from.
    """
    data_md5 = store.version(config.data)
    name = _name(config, data_md5)
    with runs.alone(config, name):
        found = finished(runs.folder(config, name))
        if found is None:
            found = _fit(config, name, data_md5)
        else:
            say(f"run {name} is finished already: its data is the same")
            tracking.flush(config)
    copy_model(found.folder, out)
    return found


class Baseline:
    """A trained baseline as it is served (predictor.Predictor)."""

    def __init__(self, folder: Path) -> None:
        from skops.io import load as load_skops
        from skops.io.exceptions import UntrustedTypesFoundException

        self.labels = model_card.read(folder).labels
        try:
            self._pipeline: Any = load_skops(folder / FILE, trusted=[])  # beside what skops knows to be harmless
        except UntrustedTypesFoundException as error:
            raise UsageError(f"{folder / FILE} holds more than a baseline: {error}", "Do not load it.") from None
        except (OSError, BadZipFile, KeyError) as error:
            raise UsageError(
                f"{folder / FILE} is damaged: {error}", "Run mlstack baseline, or fetch it again."
            ) from None

    def predict(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities, (texts, labels)."""
        if not texts:
            return np.zeros((0, len(self.labels)), dtype=np.float32)
        found: NDArray[np.float32] = self._pipeline.predict_proba(list(texts)).astype(np.float32)
        return found


def load(folder: Path) -> Baseline:
    """The predictor of a model's folder."""
    return Baseline(folder)


def _name(config: Config, data_md5: str) -> str:
    """The run's name: what the candidate is made of says nothing of the baseline."""
    return runs.name(config.model_copy(update={"model": Model(), "training": Training()}), KIND, data_md5)


def _fit(config: Config, name: str, data_md5: str) -> Trained:
    """Train it as a tracked run."""
    known = provenance.collect()
    tags = {**known.tags, "data.path": config.data.folder.name, "data.md5": data_md5}
    params = {"features": "tf-idf of words and pairs of words", "model": "logistic regression"}
    with tracking.begin(config, name, tags=tags, params=params) as run:
        began = time.monotonic()
        pipeline, strength, metrics = _best(config)
        model = runs.folder(config, name) / "model"
        card = model_card.ModelCard(
            "tfidf-linear", name, data_md5, known.tags["git.commit"], tuple(map(str, pipeline.classes_))
        )
        _save(pipeline, card, model)
        seconds = time.monotonic() - began
        run.params({"C": strength})
        run.log(metrics, 0)
        run.tag({"seconds": f"{seconds:.1f}"})
        run.artifact(model, "model")
    found = Trained(name, model, seconds, metrics)
    result = {"run_name": name, "seconds": seconds, "metrics": metrics}
    write_whole(model.with_name("result.json"), json.dumps(result))
    return replace(found, fresh=True)


def _best(config: Config) -> tuple[Any, float, dict[str, float]]:
    """The pipeline that is best on the validation split, its inverse regularisation, and its metrics there."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts, labels = records.columns(config.data, "train")
    others, truth = records.columns(config.data, "validation")
    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2, dtype=np.float32)
    tried = []
    try:
        features, held_out = vectorizer.fit_transform(texts), vectorizer.transform(others)
        with progress("Fitting the baseline", len(STRENGTHS), "fits") as told:
            for strength in STRENGTHS:
                linear = LogisticRegression(C=strength, tol=TOLERANCE, max_iter=1000).fit(features, labels)
                tried.append((linear, strength, _metrics(truth, linear.predict(held_out))))
                told.advance()
    except ValueError as error:  # no word occurs twice, or there is one label alone
        fault = f"{config.data.folder}: nothing can be learned from it: {error}"
        raise UsageError(fault, "See mlstack validate.") from None
    wanted = f"validation.{config.judgement.metric}"
    linear, strength, metrics = max(tried, key=lambda one: one[2][wanted])  # of equal ones the most regular
    return make_pipeline(vectorizer, linear), strength, metrics


def _metrics(truth: Sequence[str], said: Sequence[str]) -> dict[str, float]:
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "validation.accuracy": float(accuracy_score(truth, said)),
        "validation.macro_f1": float(f1_score(truth, said, average="macro", zero_division=0)),
    }


def _save(pipeline: Any, card: model_card.ModelCard, folder: Path) -> None:
    """The model's folder, whole or not at all; compressed, the words' numbers are a fourteenth."""
    from skops.io import dump

    partial = folder.with_name("model.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    dump(pipeline, partial / FILE, compression=ZIP_DEFLATED)
    card.write(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)
