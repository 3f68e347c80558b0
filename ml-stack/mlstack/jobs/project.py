"""What of a project goes with a job: its parameters, and what DVC needs to fetch the data. Code is in the image."""

from __future__ import annotations

import configparser
import io
import shlex
import shutil
from pathlib import Path
from typing import Any

import yaml

from mlstack import provenance
from mlstack.config import Config, with_settings
from mlstack.errors import UsageError

PARAMS = "params.yaml"
NEED_DATA = ("validate", "baseline", "train", "tune", "evaluate")
HERE = "@HERE@"
"""Stands for the folder of a job in files that need its whole path, until the job knows it."""


def command(words: tuple[str, ...], params: str) -> list[str]:
    """The verb as Python's arguments."""
    return ["-m", "mlstack", *words, "--params", params]


def entrypoint(words: tuple[str, ...]) -> str:
    """What a job's shell runs in its folder: the data is fetched first, where the verb needs it."""
    verbs = [("data", "pull")] * (words[0] in NEED_DATA) + [words]
    return " && ".join(shlex.join(["python", *command(verb, PARAMS)]) for verb in verbs)


def params(config: Config, **settings: Any) -> str:
    """The configuration as params.yaml, all defaults said, with some of `platform` changed."""
    changed = with_settings(config, {f"platform.{key}": value for key, value in settings.items()})
    return yaml.safe_dump(changed.model_dump(mode="json"), sort_keys=False)


def files(config: Config) -> dict[str, str]:
    """By path: what says which data it is and where DVC has it. Raises UsageError where a path leaves the project."""
    pointer = config.data.folder.with_name(f"{config.data.folder.name}.dvc")
    if pointer.is_absolute() or ".." in pointer.parts:
        raise UsageError(f"data.folder: {config.data.folder} is outside the project", "Jobs take what is in it alone.")
    found = {str(path): path.read_text() for path in (pointer,) if path.is_file()}
    return found | {".dvc/config": _dvc_config()}


def stage(config: Config, folder: Path, words: tuple[str, ...]) -> str:
    """Make the working directory of a job that runs where no Secret of the platform's is; returns what it runs.

    The login goes along as files: in a job's environment, everybody who sees its description would see it.
    """
    artifacts = config.platform.artifacts
    (folder / PARAMS).write_text(params(config, artifacts="artifacts" if artifacts else None, state="state"))
    for path, text in files(config).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    if not artifacts or not (artifacts / "mlflow.yml").exists():
        return entrypoint(words)
    inside = folder / "artifacts"
    inside.mkdir(mode=0o700)
    for name in ("mlflow.yml", "ca.crt"):
        shutil.copy(artifacts / name, inside / name)
    shutil.copytree(artifacts / "dvc", inside / "dvc")
    config_file = inside / "dvc" / "config"
    config_file.write_text(config_file.read_text().replace(str((artifacts / "dvc").resolve()), f"{HERE}/artifacts/dvc"))
    return f'sed -i "s|{HERE}|$PWD|g" artifacts/dvc/config && {entrypoint(words)}'


def environment() -> dict[str, str]:
    """What a job is told of where it came from, and nothing that is secret."""
    return {"GIT_COMMIT": provenance.git_commit()}


def _dvc_config() -> str:
    """The project's, for a folder that is no repository of git's."""
    parser = configparser.ConfigParser()
    parser.read(".dvc/config")
    if not parser.has_section("core"):
        parser.add_section("core")
    parser["core"]["no_scm"] = "true"
    written = io.StringIO()
    parser.write(written)
    return written.getvalue()
