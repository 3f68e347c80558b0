"""What a build made, kept for as long as its inputs stay the same."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from lab import paths
from lab.progress import step

STAMP = ".key"


def key(*inputs: object) -> str:
    """Hash the inputs; a Path stands for what lies there, a directory for its files' names and contents."""
    digest = hashlib.sha256()
    for part in (part for item in inputs for part in _parts(item)):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


def keep(directory: Path, title: str, make: Callable[[Path], object], *inputs: object) -> bool:
    """Have `make` fill `directory`, unless it was filled from the same inputs before; tell whether it was made now.

    The old directory stays until the new one is complete, so that an interruption costs the work and nothing else.
    """
    wanted = key(*inputs)
    with paths.locked(f"{directory.parent.name}-{directory.name}"):
        if is_current(directory, wanted):
            return False
        remove_remains(directory)
        with step(title), paths.replacing(directory) as new:
            make(new)
            (new / STAMP).write_text(wanted)
    return True


def is_current(directory: Path, wanted: str) -> bool:
    """Tell whether a directory was made from inputs of this key."""
    stamp = directory / STAMP
    return stamp.is_file() and stamp.read_text() == wanted


def remove_remains(directory: Path) -> None:
    """Remove what builds of a directory left beside it when they were killed; only for who holds its lock."""
    for remains in directory.parent.glob(f".{directory.name}.*"):
        shutil.rmtree(remains)


def _parts(item: object) -> Iterator[bytes]:
    if not isinstance(item, Path):
        yield repr(item).encode()
    elif item.is_dir():
        for file in sorted(path for path in item.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            yield str(file.relative_to(item)).encode()
            yield file.read_bytes()
    else:
        yield item.read_bytes()
