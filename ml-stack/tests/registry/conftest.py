"""An embedded MLflow of the test's own, and runs with models in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlstack import platform, runs, tracking
from mlstack.config import Config, parse
from mlstack.model_card import ModelCard


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    found = parse({"platform": {"state": str(tmp_path / "state")}})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/state/mlflow.db")
    platform.connect(found)
    return found


@pytest.fixture
def make_run(config: Config) -> Callable[[str], str]:
    """Make a finished run whose model is its card alone."""

    def make(name: str) -> str:
        model = runs.folder(config, name) / "model"
        model.mkdir(parents=True)
        ModelCard("tfidf-linear", name, "0123456789abcdef0123456789abcdef.dir", "c0ffee", ("a", "b")).write(model)
        tags = {"data.md5": "0123456789abcdef0123456789abcdef.dir", "git.commit": "c0ffee"}
        with tracking.begin(config, name, tags=tags, params={"training.epochs": 1}) as run:
            run.artifact(model, "model")
        return name

    return make
