"""Runs with models in them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mlstack import runs, tracking
from mlstack.config import Config
from mlstack.model_card import ModelCard

MD5 = "0123456789abcdef0123456789abcdef.dir"


@pytest.fixture
def make_run(embedded: Config) -> Callable[[str], str]:
    """Make a finished run whose model is its card alone."""

    def make(name: str) -> str:
        model = runs.folder(embedded, name) / "model"
        model.mkdir(parents=True)
        ModelCard("tfidf-linear", name, MD5, "c0ffee00", ("a", "b")).write(model)
        tags = {"data.path": "data", "data.md5": MD5, "git.commit": f"c0ffee{name[-1]}0"}
        with tracking.begin(embedded, name, tags=tags, params={"training.epochs": 1}) as run:
            run.artifact(model, "model")
        return name

    return make

    """A finished run."""
    return make_run("baseline-1")
