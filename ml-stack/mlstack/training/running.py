"""A run of training, from its data to a model's folder: Ray Train around the loop, one process or many."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlstack import local_ray, runs, tracking
from mlstack.config import Config
from mlstack.data import records, store
from mlstack.errors import MlstackError
from mlstack.progress import say

KIND = "train"
FAILURES = 3
"""So often a worker that died is replaced; it goes on from the run's newest checkpoint."""


@dataclass(frozen=True)
class Trained:
    """A finished run.

    folder   the model's
    seconds  of the attempt that finished it
    metrics  on the validation split
    fresh    whether it was trained just now; a finished run is not run again
    """

    run_name: str
    folder: Path
    seconds: float
    metrics: Mapping[str, float]
    fresh: bool = False


def train(config: Config, out: Path) -> Trained:
    """Train what the configuration says, unless that run is finished, and put the model into `out`.

    Raises:
        UsageError: where the data, the checkpoint or MLflow's login is not there.
        MlstackError: where the training fails; run again, it goes on from its newest checkpoint.
    """
    data_md5 = store.version(config.data)
    name = runs.name(config, KIND, data_md5)
    folder = runs.folder(config, name)
    with runs.alone(config, name):
        found = finished(folder)
        if found is None:
            _fit(config, name, data_md5)
            found = replace(_ended(folder), fresh=True)
        else:
            say(f"run {name} is finished already: its data and parameters are the same")
            tracking.flush(config)
    copy_model(found.folder, out)
    return found


def finished(folder: Path) -> Trained | None:
    """What a finished run left in its folder."""
    try:
        given = json.loads((folder / "result.json").read_text())
    except OSError:
        return None
    return Trained(**given, folder=folder / "model")


def _ended(folder: Path) -> Trained:
    found = finished(folder)
    if found is None:
        raise MlstackError(f"run {folder.name} ended and left no model", f"Look at {folder}, and run it again.")
    return found


def _fit(config: Config, name: str, data_md5: str) -> None:
    """Have Ray Train run worker.work in as many processes as wanted; one on this machine needs no Ray of its own."""
    import torch
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    from mlstack.training.worker import work

    training, alone = config.training, config.platform.kind == "embedded" and config.training.workers == 1
    gpus = config.platform.kind == "cluster" or torch.cuda.is_available()
    nccl = gpus and torch.version.cuda is not None
    splits: Any = {split: records.columns(config.data, split) for split in ("train", "validation")}
    job = {"config": config.model_dump(mode="json"), "name": name, "data_md5": data_md5, "project": str(Path.cwd())}
    logging.getLogger("ray.train").setLevel(logging.WARNING)  # it would tell how it was started, and where to complain
    trainer = TorchTrainer(
        work,
        train_loop_config=job | {"splits": splits if alone else _shared(splits)},
        # Ray's own name has to be new each time: it would not run a finished one, and resuming is our checkpoints' part
        scaling_config=ScalingConfig(num_workers=0 if alone else training.workers, use_gpu=gpus and not alone),
        run_config=RunConfig(storage_path=str(_state(config) / "ray"), failure_config=FailureConfig(FAILURES)),
        torch_config=TorchConfig(backend="nccl" if nccl else "gloo"),
    )
    trainer.fit()


def _state(config: Config) -> Path:
    return config.platform.state.resolve()


def _shared(splits: Any) -> Any:
    """The data as Ray's object: workers of other machines have no files of ours."""
    import ray

    local_ray.join_or_start(log_to_driver=True)
    return [ray.put(splits)]  # within a list, or Ray would fetch it before it is sent


def copy_model(model: Path, out: Path) -> None:
    """Put a model's folder to where the next verb looks for it, whole or not at all."""
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(model, partial)
    shutil.rmtree(out, ignore_errors=True)
    partial.replace(out)
