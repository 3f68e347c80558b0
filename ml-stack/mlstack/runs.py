"""Runs are named by a hash of what goes into them: a finished run of the same inputs is not run again."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlstack.config import Config
from mlstack.errors import UsageError

INPUTS = ("data", "model", "training")
"""The sections that make a model what it is; where it is made does not."""


def name(config: Config, kind: str, data_md5: str) -> str:
    """The name of a run: its kind and ten hex digits."""
    sections = config.model_dump(mode="json", include=set(INPUTS))
    sections["data"] = {key: value for key, value in sections["data"].items() if key not in ("folder", "remote")}
    text = json.dumps([kind, data_md5, sections], sort_keys=True)
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def folder(config: Config, run_name: str) -> Path:
    """Where a run keeps its checkpoints, its outbox for MLflow and its end."""
    return config.platform.state / "runs" / run_name


@contextmanager
def alone(config: Config, run_name: str) -> Iterator[None]:
    """Work on a run as the only process on this machine. Raises UsageError where another one does already."""
    path = folder(config, run_name) / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:  # the system lets go of it when this process ends, however it ends
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"run {run_name} is being worked on by another process", "Wait for it to end, then run this again."
            ) from None
        yield
