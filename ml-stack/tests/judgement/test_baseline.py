"""The baseline as it is served, and the file that it is kept in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from skops.io import dump

from mlstack import predictor
from mlstack.errors import UsageError
from mlstack.judgement import baseline
from mlstack.model_card import ModelCard

CARD = ModelCard("tfidf-linear", "baseline-1", "0123", "", ("a", "b"))


class Foreign:
    """What is no part of a baseline."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["wheat corn", "ship port"], ["a", "b"])
    baseline._save(pipeline, CARD, tmp_path / "model")
    return tmp_path / "model"


def test_it_says_something_of_any_text(folder: Path) -> None:
    model = predictor.load(folder)
    found = model.predict(["corn", "port", "", "\ud800 \x00", "x" * 100_000])
    assert (found.shape, found.dtype) == ((5, 2), np.float32)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
    assert [model.labels[one] for one in found[:2].argmax(axis=1)] == ["a", "b"]
    assert model.predict([]).shape == (0, 2)


def test_a_file_that_holds_something_else_is_not_loaded(folder: Path) -> None:
    dump(Foreign(), folder / baseline.FILE)
    with pytest.raises(UsageError, match="holds more than a baseline"):
        predictor.load(folder)


def test_a_damaged_file_is_said_to_be(folder: Path) -> None:
    (folder / baseline.FILE).write_bytes(b"PK")
    with pytest.raises(UsageError, match="damaged"):
        predictor.load(folder)


def test_what_classifies_nothing_is_no_predictor(folder: Path) -> None:
    ModelCard("causal-lm", "train-1", "0123", "").write(folder)
    with pytest.raises(UsageError, match="classifies nothing"):
        predictor.load(folder)
