"""Python packages: those of hosts, as a mirror serves them (PEP 503), and those of images.

The lists are locks, with a hash for every file; here they are only downloaded, for each Python that a host may have, or
installed into a folder that an image copies.
"""

from __future__ import annotations

import hashlib
import html
import os
import re
import shutil
import sys
from pathlib import Path

from lab import kept, paths
from lab.errors import LabError
from lab.run import run

LOCK = paths.PROJECT / "roles/host_base/files/requirements.txt"
PYTHONS = ("3.11", "3.12", "3.13")  # Debian 12, Ubuntu 24.04, Debian 13
PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")  # what the C library of all of them can load
DIRECTORY = paths.MIRROR / "pypi"
TIMEOUT_SECONDS = 600


def build() -> None:
    """Download the wheels and lay out their index.

    Raises:
        LabError: a file is not to be had or its hash is not the locked one.
    """
    kept.keep(DIRECTORY, "Download the wheels for hosts", _fill, LOCK, Path(__file__), PYTHONS)


def find(project: str) -> Path:
    """Return the wheel of a project of which there is exactly one."""
    found = list((DIRECTORY / "files").glob(f"{normalize(project).replace('-', '_')}-*.whl"))
    if len(found) != 1:
        raise LabError(
            f"{len(found)} wheels of {project} in {DIRECTORY / 'files'}, not one", "run `script/lab build wheels`"
        )
    return found[0]


def install(lock: Path, target: Path, python: str) -> None:
    """Install what a lock names into a folder, for an image's Python.

    Raises:
        LabError: a file is not to be had or its hash is not the locked one.
    """
    # Not compiled: this Python's files would carry the times of this run,
    # and pip compares what a wheel requires with the Python that runs it, not with the one that is named
    options = ["--no-compile", "--no-warn-conflicts", "--ignore-requires-python"]
    _pip("install", python, lock, f"--target={target}", *options)
    shutil.rmtree(target / "bin", ignore_errors=True)  # scripts that begin with the path of this Python


def normalize(project: str) -> str:
    """Write a project's name as indices do (PEP 503)."""
    return re.sub(r"[-_.]+", "-", project).lower()


def _fill(new: Path) -> None:
    for python in PYTHONS:
        _download(python, new / "files")
    index(new / "files", new / "simple")


def _download(python: str, files: Path) -> None:
    _pip("download", python, LOCK, f"--dest={files}")


def _pip(verb: str, python: str, lock: Path, *options: str) -> None:
    machine = os.uname().machine
    platforms = [f"--platform={name}_{machine}" for name in PLATFORMS]
    # --no-deps: the lock is complete, and pip must not look for what it does not name
    chosen = ["--no-deps", "--require-hashes", "--only-binary=:all:", f"--python-version={python}", *platforms]
    pip = [sys.executable, "-m", "pip", verb, "--quiet", "--disable-pip-version-check"]
    run([*pip, *options, *chosen, f"-r{lock}"], timeout=TIMEOUT_SECONDS)


def index(files: Path, simple: Path) -> None:
    """Write the index of the wheels in `files`: a page that names the projects, and for each a page of its files."""
    projects: dict[str, list[Path]] = {}
    for wheel in sorted(files.glob("*.whl")):
        projects.setdefault(normalize(wheel.name.split("-")[0]), []).append(wheel)
    _write_page(simple, {project: f"{project}/" for project in projects})
    for project, wheels in projects.items():
        _write_page(
            simple / project, {wheel.name: f"../../files/{wheel.name}#sha256={_sha256(wheel)}" for wheel in wheels}
        )


def _write_page(directory: Path, links: dict[str, str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    lines = (f'<a href="{html.escape(target)}">{html.escape(text)}</a><br>' for text, target in links.items())
    (directory / "index.html").write_text("\n".join(("<!DOCTYPE html>", *lines, "")))


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
