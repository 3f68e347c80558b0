"""`mlstack train` as people run it, killed and run again: no more is lost than since the last checkpoint."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from mlstack import checkpoint_source, platform, runs
from mlstack.config import read, with_settings
from mlstack.data import records
from mlstack.errors import UsageError
from mlstack.training import running

pytestmark = pytest.mark.slow
PATIENCE_SECONDS = 240
ALONE = ["unshare", "--map-root-user", "--net"]
"""A machine without any network, not even loopback."""
PARAMS = {
    "data": {"folder": "data/tiny"},
    "model": {"name": "tiny", "checkpoint": "checkpoint", "max_tokens": 32},
    "training": {
        "epochs": 30, "batch_tokens": 256, "row_tokens": 32, "checkpoint_seconds": 0.2, "deterministic": True,
    },
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a small data set and a small random encoder of MiniLM's architecture."""
    from transformers import BertConfig, BertModel

    folder = tmp_path / "project"
    folder.mkdir()
    source = checkpoint_source.folder("all-minilm-l6-v2")
    config = BertConfig.from_pretrained(
        source, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config).save_pretrained(folder / "checkpoint")
    for file in source.glob("*token*"):
        shutil.copy(file, folder / "checkpoint")
    shutil.copy(source / "vocab.txt", folder / "checkpoint")
    _add_data(folder / "data/tiny")
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    return folder


def _add_data(folder: Path) -> None:
    dice = random.Random(4)
    words = {"grain": ["wheat", "corn", "barley", "harvest"], "money": ["bank", "rate", "dollar", "loan"]}
    folder.mkdir(parents=True)
    for split, count in (("train", 200), ("validation", 40), ("test", 40)):
        rows = [
            {"text": " ".join(dice.choices([*words[label], "the", "of", "said", "a"], k=12)), "label": label}
            for label in ("grain", "money") * (count // 2)
        ]
        records.pack(folder, split, rows)
    folder.with_name("tiny.dvc").write_text(yaml.safe_dump({"outs": [{"md5": "0" * 32 + ".dir", "path": "tiny"}]}))


@pytest.fixture
def start(project: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a verb in the project; what still runs at the end of the test is killed."""
    begun: list[subprocess.Popen[str]] = []

    def begin(*words: str, under: list[str] | None = None) -> subprocess.Popen[str]:
        command = [*(under or []), sys.executable, "-m", "mlstack", *words]
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
        env.pop("MLFLOW_TRACKING_URI", None)
        begun.append(
            subprocess.Popen(
                command,
                cwd=project,
                env=env,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        )
        return begun[-1]

    yield begin
    for process in begun:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.02)  # between two looks; nothing tells


def _has_checkpoint(project: Path) -> bool:
    return any(project.glob("state/runs/*/checkpoints/step-*.safetensors"))


def _trained(process: subprocess.Popen[str]) -> dict[str, object]:
    output, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, said
    found: dict[str, object] = json.loads(output)
    return found | {"said": said}


def _model(project: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted((project / "models/candidate").glob("*.safetensors")))


def test_a_killed_training_goes_on_and_ends_the_same_without_a_network(
    project: Path, start: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = start("train")
    _wait_for(lambda: _has_checkpoint(project), killed)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    again = _trained(start("train", "--json", under=ALONE))
    resumed = _model(project)
    assert "Training from step" in str(again["said"])
    shutil.rmtree(project / "state")
    whole = _train_here(project, monkeypatch)
    assert whole.run_name == again["run_name"]
    assert _model(project) == resumed


def test_a_finished_run_is_not_run_again_and_says_so(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short = {"training.epochs": 1}
    first = _train_here(project, monkeypatch, short)
    shutil.rmtree(project / "models")
    second = _train_here(project, monkeypatch, short)
    assert (first.fresh, second.fresh) == (True, False)
    assert "is finished already" in capsys.readouterr().err
    assert _model(project)
    config = with_settings(read(project / "params.yaml"), short)
    with (
        runs.alone(config, first.run_name),
        pytest.raises(UsageError, match="is being worked on by another process"),
    ):
        running.train(config, Path("models/candidate"))


def _train_here(
    project: Path, monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, object] | None = None
) -> running.Trained:
    """Train in this process, whose imports are paid for already."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/state/mlflow.db")
    config = with_settings(read(Path("params.yaml")), settings or {})
    platform.connect(config)
    return running.train(config, Path("models/candidate"))


def test_a_worker_that_dies_is_replaced(project: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    training = start("train", "--json", "--set", "training.workers=2")
    _wait_for(lambda: _has_checkpoint(project), training)
    os.kill(_workers(training.pid)[-1], signal.SIGKILL)
    assert "Training from step" in str(_trained(training)["said"])


def _workers(driver: int) -> list[int]:
    """The processes that train, among those that a driver began."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            names[int(folder.name)] = (folder / "cmdline").read_text()
        except OSError:
            continue

    def ours(process: int) -> bool:
        while process > 1:
            if process == driver:
                return True
            process = parents.get(process, 0)
        return False

    return [
        process for process, name in names.items() if name.startswith("ray::") and "Worker" in name and ours(process)
    ]
