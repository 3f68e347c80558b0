"""What tests of several parts share: an embedded MLflow of their own, whose tables are made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mlstack import platform
from mlstack.config import Config, parse


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of MLflow's that has its tables and nothing in them; to make it takes seconds."""
    from mlflow import MlflowClient

    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{database}").search_experiments()
    return database


@pytest.fixture
def embedded(tmp_path: Path, empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The configuration of a project in a folder of its own, which is the current one, connected to its MLflow."""
    monkeypatch.chdir(tmp_path)
    state = tmp_path / "state"
    state.mkdir()
    shutil.copy(empty_mlflow, state / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{state}/mlflow.db")
    config = parse({"data": {"folder": "data"}, "platform": {"state": str(state)}, "judgement": {"resamples": 200}})
    platform.connect(config)
    return config
