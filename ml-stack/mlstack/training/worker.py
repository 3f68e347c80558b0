"""What each process of a training does; the first one also tracks, checkpoints and saves."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mlstack import platform, provenance, runs, tracking
from mlstack.config import Config, parse
from mlstack.files import write_whole
from mlstack.model_card import ModelCard
from mlstack.progress import Progress
from mlstack.training.checkpoints import Checkpoints
from mlstack.training.loop import Loop, Place
from mlstack.training.task import Task
from mlstack.training.tasks import make

AfterEpoch = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Job:
    """A training as every one of its processes gets to know it.

    data_md5  the version of the data set
    splits    texts and labels of `train` and `validation`
    tags      of the run at MLflow, beside those of every run
    """

    config: Config
    name: str
    data_md5: str
    splits: Mapping[str, tuple[list[Any], list[str]]]
    tags: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return runs.folder(self.config, self.name)


def work(given: dict[str, Any]) -> None:
    """Train, as one of the processes that Ray Train started, or in the command's own."""
    import ray.train

    enter(given["project"])
    job = Job(
        parse(given["config"]), given["name"], given["data_md5"], _fetched(given["splits"]), given.get("tags", {})
    )
    context = ray.train.get_context()
    place = Place(context.get_world_rank(), context.get_world_size())
    if place.rank == 0:
        lead(job, place)
    else:
        task = make(job.config, job.splits, _device())
        _loop(job, task, place, lambda _metrics, _step: None, None).run()


def enter(project: str) -> None:
    """Make the project's folder the current one, for paths in params.yaml: Ray starts processes elsewhere."""
    if Path(project).is_dir():  # a machine may share nothing with the one that asked
        os.chdir(project)


def lead(job: Job, place: Place, after_epoch: AfterEpoch = lambda _epoch, _metrics: None) -> Mapping[str, float]:
    """The first process's part: a run at MLflow, checkpoints, and the model's folder at the end.

    Returns:
        The metrics on the validation split after the last epoch.
    """
    platform.connect(job.config)
    known, last = provenance.collect(), dict[str, float]()
    tags = {**known.tags, "data.path": job.config.data.folder.name, "data.md5": job.data_md5, **job.tags}

    def note(epoch: int, metrics: Mapping[str, float]) -> None:
        last.update(metrics)
        after_epoch(epoch, metrics)

    with tracking.begin(job.config, job.name, tags=tags, params=_params(job.config)) as run:
        _write(job.folder / "about", known.files)
        run.artifact(job.folder / "about", "about")
        began = time.monotonic()
        task = make(job.config, job.splits, _device())
        store = Checkpoints(job.folder / "checkpoints")
        report = _Report(run)
        loop = _loop(job, task, place, report, store)
        report.begin(len(loop.steps), loop.done)
        try:
            loop.run(note)
        finally:
            report.close()
            store.wait()
        run.tag({"seconds": f"{time.monotonic() - began:.1f}", "checkpoint.fault": store.fault})
        _save(job, task, known.tags["git.commit"])
        run.artifact(job.folder / "model", "model")
    result = {"run_name": job.name, "seconds": time.monotonic() - began, "metrics": last}
    _write(job.folder, {"result.json": json.dumps(result)})
    shutil.rmtree(job.folder / "checkpoints")
    return last


def _loop(
    job: Job, task: Task, place: Place, report: Callable[[Mapping[str, float], int], None], store: Checkpoints | None
) -> Loop:
    """The loop, at its begin or where its newest checkpoint is."""
    training = job.config.training
    if training.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what torch's notes on determinism ask for
        torch.use_deterministic_algorithms(True)
    found = (store or Checkpoints(job.folder / "checkpoints")).latest()
    if found is None and place.rank == 0:
        task.start()  # the other processes get these weights when they come together in DistributedDataParallel
    loop = Loop(task, training, _device(), place, report, store, _forward(task.model, job.config, place))
    if found:
        loop.resume(found)
    return loop


def _forward(model: nn.Module, config: Config, place: Place) -> nn.Module:
    """The model as the loop calls it: compiled, distributed, both or neither."""
    if config.training.compile:
        model.compile()
    return DistributedDataParallel(model) if place.world > 1 else model


class _Report:
    """Metrics for MLflow, and progress for who watches."""

    def __init__(self, run: tracking.Run) -> None:
        self._run, self._progress, self._step = run, Progress("Training", 0, "steps"), 0

    def begin(self, steps: int, done: int) -> None:
        """Training goes on after so many of so many steps."""
        title = f"Training from step {done}" if done else "Training"
        self._progress, self._step = Progress(title, steps - done, "steps"), done

    def __call__(self, metrics: Mapping[str, float], step: int) -> None:
        self._run.log(metrics, step)
        note = ", ".join(f"{name} {metrics[name]:.4f}" for name in ("loss", "validation.loss") if name in metrics)
        self._progress.advance(step - self._step, note)
        self._step = step

    def close(self) -> None:
        """Training ended, one way or another."""
        self._progress.close()


def _save(job: Job, task: Task, commit: str) -> None:
    """The model's folder, whole or not at all."""
    partial = job.folder / "model.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    task.save(partial)
    model = job.config.model
    ModelCard(task.kind, job.name, job.data_md5, commit, task.labels, model.max_tokens).write(partial)
    shutil.rmtree(job.folder / "model", ignore_errors=True)
    partial.rename(job.folder / "model")


def _fetched(splits: Any) -> Mapping[str, tuple[list[Any], list[str]]]:
    """The data, which several processes get as Ray's object (running.py)."""
    import ray

    found: Mapping[str, tuple[list[Any], list[str]]] = ray.get(splits[0]) if isinstance(splits, list) else splits
    return found


def _device() -> torch.device:
    import ray.train.torch

    return ray.train.torch.get_device() if torch.cuda.is_available() else torch.device("cpu")


def _params(config: Config) -> dict[str, object]:
    """By dotted name: what the run's model is made of."""
    sections = config.model_dump(mode="json", include=set(runs.INPUTS))
    return {f"{section}.{key}": value for section, keys in sections.items() for key, value in keys.items()}


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Text files, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        write_whole(folder / name, text)
