"""Manifests as a mirror serves them, by the paths that they have at GitHub: they lie in the programs' Go modules."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from lab import kept, paths, programs

DIRECTORY = paths.MIRROR / "manifests"
MANIFESTS: Mapping[str, str] = {"cloudnative-pg": "releases/cnpg-{number}.yaml", "kuberay": "config"}
"""The manifest of a program, or its folder of them, in its module."""


def build() -> None:
    """Lay out the manifests."""
    wanted = [path(name) for name in MANIFESTS]
    kept.keep(DIRECTORY, "Lay out the manifests", _fill, Path(__file__), wanted)


def path(name: str) -> str:
    """Where a program's manifest is below the mirror's folder, and below https://raw.githubusercontent.com."""
    program = programs.load(name)
    owner, repository, *folder = program.module.removeprefix("github.com/").split("/")
    return "/".join((owner, repository, program.version, *folder, _inside(name)))


def _inside(name: str) -> str:
    return MANIFESTS[name].format(number=programs.load(name).version.removeprefix("v"))


def _fill(new: Path) -> None:
    for name in MANIFESTS:
        source, target = programs.source(name) / _inside(name), new / path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source, target)
