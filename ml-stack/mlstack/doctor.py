"""Whether mlstack can work here: each check asks what will be asked later, and changes nothing."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from mlstack import checkpoint_source, platform
from mlstack.check import Check
from mlstack.config import Config
from mlstack.errors import MlstackError

LEAST_FREE = 2 * 10**9
"""Bytes: a few checkpoints and models of the example's size."""


def checks(config: Config) -> Iterator[Check]:
    """One verdict after the other, as soon as each is known."""
    for check in (_packages, _git, _data, _checkpoint, _disk, _accelerator, _mlflow, _remote):
        yield check(config)


def _packages(_config: Config) -> Check:
    """The versions that were tested together, as this package asks for them."""
    from packaging.requirements import Requirement

    wrong = []
    for line in importlib.metadata.requires("mlstack") or []:
        wanted = Requirement(line)
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            found = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        if not wanted.specifier.contains(found):
            wrong.append(f"{wanted.name} {found}, not {wanted.specifier}")
    return Check(
        "machine.packages", "failed" if wrong else "ok", "; ".join(wrong) or "as mlstack asks for them",
        "the pinned versions", "Run ./setup again.",
    )  # fmt: skip


def _git(_config: Config) -> Check:
    from mlstack import provenance

    commit = provenance.git_commit()
    return Check(
        "project.git", "ok" if commit else "warning", commit or "no commit", "a commit that runs can be traced to",
        "git init && git add . && git commit",
    )  # fmt: skip


def _data(config: Config) -> Check:
    from mlstack.data import store

    name, remedy = "project.data", "mlstack data pull, or mlstack data add SOURCE"
    try:
        version = store.version(config.data)
    except MlstackError as error:
        return Check(name, "failed", error.message, "a version", error.remedy)
    there = config.data.folder.is_dir()
    return Check(
        name, "ok" if there else "failed", f"version {version}" if there else f"{config.data.folder} is not there",
        f"{config.data.folder}", remedy,
    )  # fmt: skip


def _checkpoint(config: Config) -> Check:
    return _answer("project.checkpoint", lambda: str(checkpoint_source.folder(config.model.checkpoint)))


def _disk(config: Config) -> Check:
    place = config.platform.state if config.platform.state.exists() else Path()
    free = shutil.disk_usage(place).free
    return Check(
        "machine.disk", "ok" if free >= LEAST_FREE else "failed", f"{free / 1e9:.1f} GB free",
        f"{LEAST_FREE / 1e9:.0f} GB", "Remove what is not needed under state/runs, or set platform.state.",
    )  # fmt: skip


def _accelerator(_config: Config) -> Check:
    import torch

    from mlstack.training.precision import has_bf16

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        return Check("machine.accelerator", "ok", names)
    seen = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False) if _has_smi() else None
    if seen and "GPU" in seen.stdout:
        return Check(
            "machine.accelerator", "failed", f"the driver has GPUs, and torch {torch.__version__} sees none",
            "torch sees them", "The driver may be too old for torch's CUDA: `nvidia-smi` names the newest it takes.",
        )  # fmt: skip
    word = "with" if has_bf16("cpu") else "without"
    return Check("machine.accelerator", "ok", f"no GPU; {os.cpu_count()} cores {word} AMX")


def _has_smi() -> bool:
    return shutil.which("nvidia-smi") is not None


def _mlflow(config: Config) -> Check:
    def ask() -> str:
        from mlstack.tracking import mlflow_client

        platform.connect(config)
        mlflow_client().search_experiments(max_results=1)
        return os.environ["MLFLOW_TRACKING_URI"]

    return _answer("platform.mlflow", ask)


def _remote(config: Config) -> Check:
    def ask() -> str:
        from mlstack.data import store

        platform.connect(config)
        return store.ask_remote(config.data)

    found = _answer("platform.dvc_remote", ask)
    if found.status == "ok" and not found.observed:
        return Check(
            "platform.dvc_remote", "skipped", "none is set: versions of the data are on this machine alone",
        )  # fmt: skip
    return found


def _answer(name: str, ask: Callable[[], str]) -> Check:
    """A check that asks something else; whatever it raises is what was found."""
    try:
        return Check(name, "ok", ask())
    except MlstackError as error:
        return Check(name, "failed", error.message, "an answer", error.remedy)
    except Exception as error:  # noqa: BLE001  # clients raise what they like, and a doctor has to name it
        first = (str(error).splitlines() or [""])[0]
        observed = f"{type(error).__name__}: {first[:300]}"
        return Check(name, "failed", observed, "an answer", "Look at platform in params.yaml.")
