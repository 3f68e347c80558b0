"""The search for better parameters: Ray Tune around trainings, whose bad ones are stopped early.

A trial is a training as `mlstack train` runs it, under the same name: the best one is the candidate as it is.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import tune as ray_tune
from ray.tune.schedulers import ASHAScheduler

from mlstack import local_ray, runs, tracking
from mlstack.config import Config, parse, with_settings
from mlstack.data import records, store
from mlstack.errors import MlstackError, UsageError
from mlstack.files import write_whole
from mlstack.outbox import Outbox
from mlstack.progress import Progress, say
from mlstack.training import running, search
from mlstack.training.loop import Place
from mlstack.training.worker import Job, enter, lead

EPOCH, SCORE, FAULT = "epoch", "score", "fault"
HALVING = 2
"""Of so many trials that came as far, the best goes on."""
FAILURES = 2
"""So often a trial whose process died is begun again; it goes on from its newest checkpoint."""


@dataclass(frozen=True)
class Trial:
    """What became of one.

    epochs   that it was trained for
    score    the metric on the validation split after its last epoch, negated where lower is better
    stopped  whether it was stopped before its last epoch
    fault    why it failed, or ""
    """

    run_name: str
    settings: search.Settings
    epochs: int
    score: float
    stopped: bool = False
    fault: str = ""


@dataclass(frozen=True)
class Tuned:
    """A search that ended; the best trial is first."""

    run_name: str
    metric: str
    trials: tuple[Trial, ...]
    fresh: bool = True


def tune(config: Config) -> Tuned:
    """Search, unless that was done already; a search that was stopped goes on.

    Raises:
        UsageError: where the space, the data or the login is not there or not right.
        MlstackError: where no trial was trained to its end.
    """
    if config.training.workers > 1:
        raise UsageError("a search trains each trial in one process", "Set training.workers=1.")
    data_md5, chosen = store.version(config.data), search.trials(config)
    splits = {split: records.columns(config.data, split) for split in ("train", "validation")}
    name = _name(config, data_md5)
    ended = runs.folder(config, name) / "result.json"
    if ended.exists():
        say(f"search {name} is finished already: its data, parameters and space are the same")
        tracking.flush(config)
        return _read(ended)
    with tracking.begin(config, name, tags={"data.md5": data_md5}, params={"tune.trials": len(chosen)}) as run:
        tuned = Tuned(name, metric(config)[0], _search(config, name, data_md5, splits, chosen))
        run.log({"best_score": tuned.trials[0].score}, 0)
        run.tag({"best_run": tuned.trials[0].run_name})
    _write(ended, tuned)
    tracking.flush(config)
    return tuned


def metric(config: Config) -> tuple[str, int]:
    """The metric on the validation split by which trials are compared, and 1 where higher is better, else -1."""
    if config.model.task == "causal-lm":
        return "validation.loss", -1
    return f"validation.{config.judgement.metric}", 1


def told(trial: Trial) -> str:
    """A trial as a line for people."""
    settings = ", ".join(f"{path}={value}" for path, value in trial.settings.items())
    end = trial.fault or f"{'stopped after' if trial.stopped else 'trained for'} {trial.epochs} epochs"
    return f"  {trial.run_name}  {abs(trial.score):.4f}  {settings}: {end}"


def _name(config: Config, data_md5: str) -> str:
    """Of all that decides the outcome; how many trials run at once does not."""
    told = config.tune.model_dump(mode="json", exclude={"concurrent"})
    return runs.name(config, "tune", json.dumps([data_md5, told, metric(config)], sort_keys=True))


def _search(
    config: Config, name: str, data_md5: str, splits: Any, chosen: Sequence[search.Settings]
) -> tuple[Trial, ...]:
    """Have Ray Tune run the trials; the best first."""
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # or no relative path of params.yaml would be found
    local_ray.join_or_start()
    epochs = config.training.epochs
    watch = _Watch(len(chosen) * epochs)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # Ray's tables: standard output is for the result
            grid = _tuner(config, name, data_md5, splits, chosen, watch).fit()
    finally:
        watch.close()
    trials = [_ended(config, data_md5, result.config["settings"], result.metrics, epochs) for result in grid]
    for trial in trials:
        if trial.stopped or trial.fault:
            _tell_end(config, trial)
    done = [trial for trial in trials if not trial.stopped and not trial.fault]
    if not done:
        faults = "; ".join(f"{trial.run_name}: {trial.fault}" for trial in trials)
        raise MlstackError(f"no trial came to its end: {faults}", f"Look at the runs in {config.platform.state}/runs.")
    return tuple(sorted(trials, key=lambda trial: (trial not in done, -trial.score)))


def _tuner(config: Config, name: str, data_md5: str, splits: Any, chosen: Sequence[search.Settings], watch: Any) -> Any:
    """A new search, or the one that was stopped."""
    state = config.platform.state.resolve()
    given = {
        "config": config.model_dump(mode="json"),
        "project": str(Path.cwd()),
        "data_md5": data_md5,
        "tags": _parent(config, name),
    }
    trainable = ray_tune.with_resources(
        ray_tune.with_parameters(_train, given=given, splits=splits), _resources(config)
    )
    storage = state / "ray"
    if ray_tune.Tuner.can_restore(str(storage / name)):
        say(f"search {name} goes on where it was stopped")
        tuner = ray_tune.Tuner.restore(str(storage / name), trainable, resume_errored=True)
        tuner._local_tuner._run_config.callbacks = [watch]  # a restored search has lost it
        return tuner
    epochs = config.training.epochs
    # It stops whatever comes to max_t, and a trial has its model to save after its last epoch.
    scheduler = ASHAScheduler(
        time_attr=EPOCH, max_t=epochs + 1, grace_period=min(config.tune.grace_epochs, epochs), reduction_factor=HALVING
    )
    return ray_tune.Tuner(
        trainable,
        param_space={"settings": ray_tune.grid_search([dict(settings) for settings in chosen])},
        tune_config=ray_tune.TuneConfig(
            metric=SCORE, mode="max", scheduler=scheduler, max_concurrent_trials=config.tune.concurrent
        ),
        run_config=ray_tune.RunConfig(
            name=name, storage_path=str(storage), callbacks=[watch], verbose=0,
            failure_config=ray_tune.FailureConfig(max_failures=FAILURES),
        ),
    )  # fmt: skip


def _train(chosen: Mapping[str, Any], given: Mapping[str, Any], splits: Any) -> None:
    """One trial, in a process of Ray's."""
    enter(given["project"])
    config = with_settings(parse(given["config"]), chosen["settings"])
    name, (wanted, sign) = runs.name(config, running.KIND, given["data_md5"]), metric(config)
    found = running.finished(runs.folder(config, name))
    if found:
        ray_tune.report({EPOCH: config.training.epochs, SCORE: sign * found.metrics[wanted]})
        return

    def report(epoch: int, metrics: Mapping[str, float]) -> None:
        ray_tune.report({EPOCH: epoch, SCORE: sign * metrics[wanted]})  # does not come back where it is stopped

    try:
        lead(Job(config, name, given["data_md5"], splits, given["tags"]), Place(), report)
    except MlstackError as error:  # a loss that is no number: a bad trial, and no reason to begin it again
        ray_tune.report({EPOCH: config.training.epochs, SCORE: -math.inf, FAULT: error.message})


def _resources(config: Config) -> dict[str, float]:
    import torch

    gpu = 1 if config.platform.kind == "cluster" or torch.cuda.is_available() else 0
    return {"cpu": 1 if gpu else max(1, (os.cpu_count() or 1) // config.tune.concurrent), "gpu": gpu}


def _parent(config: Config, name: str) -> dict[str, str]:
    """The tags by which MLflow shows trials below their search; it may not answer yet."""
    from mlflow.exceptions import MlflowException

    try:
        return {"tune": name, "mlflow.parentRunId": tracking.run_id(config, name)}
    except (UsageError, MlflowException, OSError):
        return {"tune": name}


def _ended(config: Config, data_md5: str, settings: search.Settings, metrics: Any, epochs: int) -> Trial:
    name = runs.name(with_settings(config, settings), running.KIND, data_md5)
    told = metrics or {}
    epoch, score, fault = told.get(EPOCH, 0), told.get(SCORE, -math.inf), told.get(FAULT, "")
    finished = running.finished(runs.folder(config, name)) is not None
    if not finished and not fault and (not epoch or epoch >= epochs):
        fault = "its process died"
    return Trial(name, settings, epoch, score, stopped=not finished and not fault, fault=fault)


def _tell_end(config: Config, trial: Trial) -> None:
    """Tell MLflow how a trial ended that could not do so itself: Ray ends its process at once."""
    outbox = Outbox(runs.folder(config, trial.run_name) / "outbox")
    outbox.begin(config.model.name, trial.run_name)
    outbox.add({"tags": {"tune.ended": trial.fault or f"stopped after epoch {trial.epochs}: others were better"}})
    outbox.add({"end": "FAILED" if trial.fault else "KILLED"})


class _Watch(ray_tune.Callback):  # type: ignore[misc]  # Ray publishes no types
    """Progress in epochs of all trials."""

    def __init__(self, epochs: int) -> None:
        self._progress, self._seen = Progress("Searching", epochs, "epochs"), dict[str, int]()

    def on_trial_result(self, *, trial: Any, result: Mapping[str, Any], **_: Any) -> None:
        """An epoch of a trial ended."""
        epoch = result.get(EPOCH, 0)
        self._progress.advance(max(0, epoch - self._seen.get(trial.trial_id, 0)), f"score {result.get(SCORE, 0):.4f}")
        self._seen[trial.trial_id] = epoch

    def close(self) -> None:
        """The search ended."""
        self._progress.close()


def _read(path: Path) -> Tuned:
    given = json.loads(path.read_text())
    return Tuned(given["run_name"], given["metric"], tuple(Trial(**trial) for trial in given["trials"]), fresh=False)


def _write(path: Path, tuned: Tuned) -> None:
    trials = [vars(trial) for trial in tuned.trials]
    write_whole(path, json.dumps({"run_name": tuned.run_name, "metric": tuned.metric, "trials": trials}))
