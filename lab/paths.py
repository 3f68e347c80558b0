"""Where the lab keeps things: all of it below one directory, GROUNDWORK_CACHE or /var/cache/groundwork."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("GROUNDWORK_CACHE") or "/var/cache/groundwork").absolute()

GO = CACHE / "go"
PROGRAMS = CACHE / "programs"
HOSTS = CACHE / "hosts"  # root file systems of hosts, one directory an operating system
SNAP_CONTENTS = CACHE / "snaps/contents"  # unpacked snaps, by the SHA3-384 of the .snap
MIRROR = CACHE / "mirror"  # the tree that a mirror serves
KEYS = CACHE / "keys"
LABS = CACHE / "labs"
STORAGE = CACHE / "storage"  # podman's images and state
RUN = CACHE / "run"  # a tmpfs while any lab runs: the mount namespace and podman's run-time state


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a temporary directory beside `target` that takes its place at the end, or vanishes if the block fails.

    Whoever is interrupted leaves either the old directory or the new one, never half of one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    work.chmod(0o755)
    try:
        yield work
        old = work.with_name(f"{work.name}.old")
        if target.exists() or target.is_symlink():
            target.rename(old)
        work.rename(target)
        _remove(old)
    finally:
        _remove(work)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock `name` of this cache; the kernel lets go of it when its holder dies, however that happens."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f".{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
