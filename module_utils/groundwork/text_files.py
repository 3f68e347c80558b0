"""Small text files below one directory, all of them in one step."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.groundwork.errors import GroundworkError


@dataclass(frozen=True)
class Difference:
    """A file whose text is not what it shall be; `before` is empty where there is none."""

    path: Path
    before: str
    after: str


def plan(directory: Path, wanted: Mapping[str, str]) -> list[Difference]:
    """The files, by their paths below the directory, that are not as wanted.

    Raises GroundworkError where the directory is missing.
    """
    if not directory.is_dir():
        raise GroundworkError(f"There is no directory {directory}", "Install first what keeps its files there.")
    found = ((directory / name, text) for name, text in sorted(wanted.items()))
    return [Difference(path, before, text) for path, text in found if (before := _read(path)) != text]


def apply(directory: Path, differences: Iterable[Difference]) -> None:
    """Write each file whole or not at all, for those who may read the directory."""
    for difference in differences:
        for parent in reversed(difference.path.relative_to(directory).parents):
            _make(directory / parent, directory)
        fresh = difference.path.with_name(f".{difference.path.name}.new")
        fresh.write_text(difference.after, encoding="utf-8")
        _like(fresh, directory, rights=0o666)
        fresh.replace(difference.path)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _make(path: Path, directory: Path) -> None:
    """A directory on the way, unless it is there."""
    if not path.is_dir():
        path.mkdir()
        _like(path, directory, rights=0o7777)


def _like(path: Path, directory: Path, rights: int) -> None:
    """Owner and group of the directory, and of its mode what `rights` leaves."""
    status = directory.stat()
    os.chown(path, status.st_uid, status.st_gid)
    path.chmod(status.st_mode & rights)
