"""Runs are named by a hash of what goes into them: a finished run of the same inputs is not run again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from mlstack.config import Config

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
