"""A virtual environment that holds exactly what a lock names."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.groundwork.command import Output, Run
from ansible.module_utils.groundwork.errors import GroundworkError

# Nothing is compiled ahead: Python compiles what is imported, and most of the Kubernetes client never is.
INSTALL = (
    "-m pip install --quiet --no-compile --no-input --disable-pip-version-check --require-hashes --only-binary :all:"
)


@dataclass(frozen=True)
class Wanted:
    """The environment at `path`, made by `python`, with what `requirements` locks.

    index  URL of the package index; empty means pip's own
    """

    path: Path
    python: str
    requirements: str
    index: str


@dataclass(frozen=True)
class Environment:
    """Made by a Python of `version`, after a lock of this `digest`; both empty where there is none or it is broken."""

    version: str = ""
    digest: str = ""


def observe(run: Run, path: Path) -> Environment:
    """What is there: an environment without its stamp, as an interrupted run leaves one, counts as none."""
    version = _version(run, str(path / "bin/python"))
    stamp = _stamp(path)
    return Environment(version, stamp.read_text().strip()) if version and stamp.exists() else Environment()


def target(run: Run, wanted: Wanted) -> Environment:
    """What should be there."""
    return Environment(_version(run, wanted.python), hashlib.sha256(wanted.requirements.encode()).hexdigest())


def plan(found: Environment, aim: Environment) -> list[str]:
    """What has to be done, in words; nothing where it is there already."""
    if found == aim:
        return []
    made = ["make the environment again"] if found.version != aim.version else []
    return [*made, "install the locked packages"]


def apply(run: Run, wanted: Wanted, aim: Environment, timeout_seconds: float) -> None:
    """Make it anew where the Python differs, install, and stamp it last, so that a killed run is seen by the next one.

    Raises GroundworkError with what pip said.
    """
    if observe(run, wanted.path).version != aim.version:
        shutil.rmtree(wanted.path, ignore_errors=True)
        remedy = "Install the distribution's python3-venv on the host."
        _succeed(
            run([wanted.python, "-m", "venv", str(wanted.path)], timeout_seconds),
            f"No virtual environment at {wanted.path}",
            remedy,
        )
    _stamp(wanted.path).unlink(missing_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as lock:
        lock.write(wanted.requirements)
        lock.flush()
        _succeed(
            run([str(wanted.path / "bin/python"), *_pip(wanted.index), "--requirement", lock.name], timeout_seconds),
            f"pip could not install the locked packages from {wanted.index or 'its own index'}",
            "Look whether the index answers from this host and has each file of the lock (site_mirror_pypi_url).",
        )
    _stamp(wanted.path).write_text(f"{aim.digest}\n")


def _pip(index: str) -> list[str]:
    """Hashes make it safe to take files from a mirror without TLS, which pip would refuse otherwise."""
    if not index:
        return INSTALL.split()
    host = index.split("://", 1)[-1].split("/", 1)[0]
    return [*INSTALL.split(), "--index-url", index, *(["--trusted-host", host] if index.startswith("http://") else [])]


def _succeed(output: Output, what: str, remedy: str) -> None:
    if output.code:
        raise GroundworkError(f"{what}: {output.text}", remedy)


def _version(run: Run, python: str) -> str:
    """`3.11.2`; empty where this Python does not run."""
    output = run([python, "-c", "import platform; print(platform.python_version())"], 30)
    return "" if output.code else output.stdout.strip()


def _stamp(path: Path) -> Path:
    return path / "groundwork.lock.sha256"
