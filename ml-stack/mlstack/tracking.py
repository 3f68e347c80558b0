"""Runs as MLflow knows them, never in the way of what is run: events go to an outbox on disk, and a thread sends them.

MLflow may be down for a minute or for the whole run: what it lacks at the end is sent by the next command that tracks.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlstack import runs
from mlstack.config import Config
from mlstack.errors import UsageError
from mlstack.outbox import Outbox
from mlstack.progress import say

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN_NAME = "mlstack.run_name"
"""The tag by which a run is found again; MLflow's own names need not be unique."""
EVERY_SECONDS = 1.0
MOST_EVENTS = 500
"""MLflow takes at most 1,000 metrics at once; an event has one or two."""
LONGEST_PAUSE_SECONDS = 15.0


class Run:
    """A run that is going on. Nothing here waits for MLflow."""

    def __init__(self, outbox: Outbox, sender: Sender) -> None:
        self._outbox, self._sender = outbox, sender

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Metrics at a step."""
        self._outbox.add({"metrics": dict(metrics), "step": step})

    def params(self, params: Mapping[str, object]) -> None:
        """Parameters; MLflow refuses another value for one that it has."""
        self._outbox.add({"params": {name: str(value)[:500] for name, value in params.items()}})

    def tag(self, tags: Mapping[str, str]) -> None:
        """Tags; a later value replaces an earlier one."""
        self._outbox.add({"tags": {name: str(value)[:5000] for name, value in tags.items()}})

    def artifact(self, path: Path, folder: str = "") -> None:
        """A file, or a folder with all that is in it; it has to stay as it is until it was sent."""
        self._outbox.add({"artifact": str(path.resolve()), "folder": folder})


@contextmanager
def begin(
    config: Config, run_name: str, *, tags: Mapping[str, str] | None = None, params: Mapping[str, object] | None = None
) -> Iterator[Run]:
    """Begin a run, or go on with it under the same name; it ends with the block, as FINISHED, FAILED or KILLED.

    Raises:
        UsageError: where MLflow answers and refuses the login. One that does not answer is told later.
    """
    outbox = Outbox(runs.folder(config, run_name) / "outbox")
    outbox.begin(config.model.name, run_name)
    sender = Sender(outbox)
    sender.try_now()
    run = Run(outbox, sender)
    run.tag({RUN_NAME: run_name, **(tags or {})})
    run.params(params or {})
    status = "FAILED"
    sender.start()
    try:
        yield run
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        outbox.add({"end": status})
        if not sender.finish(config.tracking.flush_seconds):
            say(f"MLflow does not answer: what is left of {run_name} is kept, and sent by the next command that tracks")


def flush(config: Config) -> list[str]:
    """Send what ended runs still have to tell; returns the names of those that could not be sent."""
    folders = sorted((config.platform.state / "runs").glob("*/outbox"))
    left = [folder for folder in folders if not Sender(Outbox(folder)).drain()]
    return [folder.parent.name for folder in left]


def run_id(config: Config, run_name: str) -> str:
    """The id that MLflow gave a run. Raises UsageError where it knows none of that name."""
    found = _find(mlflow_client(), config.model.name, run_name)
    if not found:
        raise UsageError(
            f"MLflow knows no run {run_name} in experiment {config.model.name}",
            "Train it first, or send what is left by any tracked command.",
        )
    return found


class Sender(threading.Thread):
    """Sends an outbox to MLflow. Sending twice is harmless: MLflow keeps one of two equal metrics."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__(name="mlflow-sender", daemon=True)
        self._outbox = outbox
        self._ending = threading.Event()
        self._complaint = ""
        self._sending = threading.Lock()

    def run(self) -> None:
        """Send every second, and less often while MLflow does not answer, until told to end."""
        pause = EVERY_SECONDS
        while not self._ending.wait(pause):
            pause = EVERY_SECONDS if self.drain() else min(2 * pause, LONGEST_PAUSE_SECONDS)

    def finish(self, seconds: float) -> bool:
        """End the thread and send what is left, within so many seconds; whether nothing is left."""
        self._ending.set()
        if self.is_alive():
            self.join(seconds)
        until, done = time.monotonic() + seconds, self.drain()
        while not done and time.monotonic() < until:
            time.sleep(min(EVERY_SECONDS, seconds))  # MLflow is asked anew; nothing tells when it is back
            done = self.drain()
        return done

    def try_now(self) -> None:
        """Have MLflow make the run. Raises UsageError where it refuses the login."""
        if not self.drain() and any(
            word in self._complaint for word in ("401", "403", "UNAUTHENTICATED", "PERMISSION_DENIED")
        ):
            raise UsageError(
                f"MLflow refuses the login: {self._complaint}",
                "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or platform.artifacts in params.yaml.",
            )

    def drain(self) -> bool:
        """Send all that is there; whether MLflow took it."""
        from mlflow.exceptions import MlflowException  # MLflow takes seconds to import

        with self._sending:
            try:
                self._send()
            except (MlflowException, OSError) as error:  # OSError: what requests raises
                first = not self._complaint
                self._complaint = str(error).splitlines()[0][:300]
                if first:
                    say(f"MLflow does not take what it is told, the run goes on: {self._complaint}")
                return False
        self._complaint = ""
        return True

    def _send(self) -> None:
        client = mlflow_client()
        sent = self._outbox.sent(os.environ.get("MLFLOW_TRACKING_URI", ""))
        if not sent.run_id:
            sent = replace(sent, run_id=_make(client, self._outbox.run()))
            self._outbox.note_sent(sent)
        events, offset = self._outbox.unsent(sent, MOST_EVENTS)
        while events:
            _tell(client, sent.run_id, events)
            sent = replace(sent, offset=offset)
            self._outbox.note_sent(sent)
            events, offset = self._outbox.unsent(sent, MOST_EVENTS)


def mlflow_client() -> MlflowClient:
    """MLflow's client, which gives up soon."""
    # One answer is waited for, not MLflow's default of two minutes and seven tries: the outbox tries again itself.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    from mlflow import MlflowClient

    return MlflowClient()


def _make(client: MlflowClient, run: Mapping[str, Any]) -> str:
    """The id of the run at MLflow, which is made where it is not there."""
    found = _find(client, run["experiment"], run["name"])
    if found:
        return found
    experiment = client.get_experiment_by_name(run["experiment"])
    number = (
        experiment.experiment_id if experiment else client.create_experiment(run["experiment"], _artifacts_location())
    )
    made = client.create_run(number, start_time=run["began"], tags={RUN_NAME: run["name"]}, run_name=run["name"])
    return str(made.info.run_id)


def _artifacts_location() -> str | None:
    """Beside an embedded MLflow's database; its default is the folder that it happens to be started in."""
    kind, _, database = os.environ.get("MLFLOW_TRACKING_URI", "").partition(":///")
    return (Path(database).parent / "artifacts").as_uri() if kind == "sqlite" else None


def _find(client: MlflowClient, experiment: str, run_name: str) -> str:
    known = client.get_experiment_by_name(experiment)
    if not known:
        return ""
    found = client.search_runs([known.experiment_id], f"tags.`{RUN_NAME}` = '{run_name}'", max_results=1)
    return str(found[0].info.run_id) if found else ""


def _tell(client: MlflowClient, run: str, events: list[dict[str, Any]]) -> None:
    """Metrics, parameters and tags at once; artifacts and the end in their order."""
    from mlflow.entities import Metric, Param, RunTag

    metrics = [
        Metric(name, value, event["time"], event["step"])
        for event in events
        for name, value in event.get("metrics", {}).items()
    ]
    params = [Param(name, value) for event in events for name, value in event.get("params", {}).items()]
    tags = [RunTag(name, value) for event in events for name, value in event.get("tags", {}).items()]
    for start in range(0, max(len(metrics), 1), 1000):
        client.log_batch(run, metrics[start : start + 1000], [] if start else params, [] if start else tags)
    for event in events:
        if "artifact" in event:
            _upload(client, run, Path(event["artifact"]), event["folder"])
        if "end" in event:
            client.set_terminated(run, event["end"], event["time"])


def _upload(client: MlflowClient, run: str, path: Path, folder: str) -> None:
    if path.is_dir():
        client.log_artifacts(run, str(path), folder or None)
    elif path.exists():
        client.log_artifact(run, str(path), folder or None)
    else:  # what is gone cannot be sent, and must not hold up the rest
        say(f"{path} is gone and could not be sent to MLflow")
