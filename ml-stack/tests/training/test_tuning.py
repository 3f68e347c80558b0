from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml

import mlstack
from mlstack import runs
from mlstack.config import Config, parse, with_settings
from mlstack.errors import UsageError
from mlstack.training import search
from tests.training import tiny_mistral

RATE = "training.learning_rate"


def searched(**tune: Any) -> Config:
    return parse({"training": {"learning_rate": 1e-4}, "tune": tune})


def test_the_first_trial_is_what_params_yaml_says() -> None:
    found = search.trials(searched(trials=3, space={RATE: {"low": 1e-5, "high": 1e-2}}))
    assert found[0] == {RATE: 1e-4}
    assert len(found) == 3
    assert all(1e-5 <= one[RATE] <= 1e-2 for one in found)


def test_trials_are_the_same_each_time_and_each_once() -> None:
    config = searched(trials=8, space={RATE: {"choices": [1e-4, 2e-4, 3e-4]}, "training.dropout": {"choices": [0.1]}})
    found = search.trials(config)
    assert found == search.trials(config)
    assert sorted(one[RATE] for one in found) == [1e-4, 2e-4, 3e-4]


def test_whole_bounds_give_whole_numbers() -> None:
    found = search.trials(searched(trials=5, space={"training.epochs": {"low": 1, "high": 30}}))
    assert all(isinstance(one["training.epochs"], int) for one in found)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({}, "nothing to search"),
        ({"training.learning_rat": {"choices": [1]}}, "did you mean 'training.learning_rate'"),
        ({"serving.port": {"choices": [1]}}, "not what a model is made of"),
        ({RATE: {"low": 0, "high": 1}}, "goes from 0 to 1"),
        ({RATE: {"low": 1}}, "not understood"),
        ({RATE: {"choices": []}}, "not understood"),
        ({RATE: {"choices": [-1]}}, "training.learning_rate: input should be greater than 0"),
        ({"model.lora.rank": {"choices": [4]}}, "has no model.lora.rank to begin with"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(space: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        search.trials(searched(trials=2, space=space))


class Project:
    """A folder with params.yaml for a search of two trials, the second of which learns nothing."""

    def __init__(self, folder: Path) -> None:
        checkpoint = tiny_mistral.save(folder / "checkpoint")
        config = tiny_mistral.config(checkpoint, folder / "state", epochs=4, checkpoint_seconds=0.2)
        given = config.model_dump(mode="json") | {"data": tiny_mistral.data(folder / "data" / "chats")}
        given["tune"] = {"trials": 2, "space": {RATE: {"choices": [0.03, 1e-7]}}}
        (folder / "params.yaml").write_text(yaml.safe_dump(given))
        self.folder, self.config = folder, parse(given)

    def command(self) -> list[str]:
        return [sys.executable, "-m", "mlstack", "tune", "--json"]

    def environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(Path(mlstack.__file__).parents[1]), "RAY_USAGE_STATS_ENABLED": "0"}

    def tune(self) -> Any:
        done = subprocess.run(
            self.command(), cwd=self.folder, env=self.environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def kill_in_the_first_epochs(self) -> None:
        """Kill the command, with all that it started, once its first trial has a checkpoint."""
        name = runs.name(self.config, "train", "0123456789abcdef0123456789abcdef.dir")
        process = subprocess.Popen(self.command(), cwd=self.folder, env=self.environment(), start_new_session=True)
        checkpoints = runs.folder(self.config, name) / "checkpoints"
        while process.poll() is None and not list(checkpoints.glob("step-*")):
            time.sleep(0.05)
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def runs(self) -> dict[str, Any]:
        """By name: what MLflow knows."""
        client = mlflow.MlflowClient(f"sqlite:///{self.folder}/state/mlflow.db")
        experiment = client.get_experiment_by_name("tiny")
        return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_and_stops_its_bad_trial(project: Project) -> None:
    project.kill_in_the_first_epochs()
    found = project.tune()
    good, bad = found["trials"]
    assert (good["settings"], bad["settings"]) == ({RATE: 0.03}, {RATE: 1e-7})
    assert (good["stopped"], good["epochs"]) == (False, 4)
    assert (bad["stopped"], bad["epochs"]) == (True, 1)

    known = project.runs()
    parent = known[found["run_name"]].info
    assert parent.status == "FINISHED"
    assert [known[one["run_name"]].info.status for one in (good, bad)] == ["FINISHED", "KILLED"]
    assert all(known[one["run_name"]].data.tags["mlflow.parentRunId"] == parent.run_id for one in (good, bad))
    assert "stopped after epoch 1" in known[bad["run_name"]].data.tags["tune.ended"]

    card = json.loads((project.folder / "models" / "candidate" / "mlstack.json").read_text())
    assert card["run_name"] == good["run_name"] == runs.name(
        with_settings(project.config, good["settings"]), "train", "0123456789abcdef0123456789abcdef.dir"
    )  # fmt: skip
    again = project.tune()
    assert (again["fresh"], again["trials"]) == (False, found["trials"])
