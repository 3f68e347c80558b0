"""What snapd remembers: the installed snaps, in one file that is replaced as a whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from . import layout
from .errors import SnapError

FOREVER = "forever"


@dataclass(frozen=True)
class Snap:
    """An installed snap.

    Attributes:
        channel: what it tracks, track/risk; empty where it was installed from a file.
        hold: until when general refreshes are held: empty, "forever", or a time in RFC 3339.
        config: its options, as `snap set` left them.
    """

    name: str
    revision: str
    version: str
    summary: str
    type: str
    confinement: str
    base: str
    digest: str
    asserted: bool
    channel: str = ""
    hold: str = ""
    apps: dict[str, dict[str, Any]] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def daemons(self) -> list[str]:
        """The apps that are services."""
        return sorted(name for name, app in self.apps.items() if "daemon" in app)

    @property
    def publisher(self) -> str:
        """Who vouches for it, marked as verified where a terminal is not there."""
        return "canonical**" if self.asserted else "-"

    @property
    def label(self) -> str:
        """Name, channel and version as a finished change names them; latest/stable goes without saying."""
        channel = "" if self.channel in ("", "latest/stable") else f" ({self.channel})"
        author = " from Canonical**" if self.asserted else ""
        return f"{self.name}{channel} {self.version}{author}"


def installed() -> dict[str, Snap]:
    """All installed snaps by name."""
    try:
        stored = json.loads(_file().read_text())
    except FileNotFoundError:
        return {}
    return {name: Snap(**values) for name, values in sorted(stored["snaps"].items())}


def get(name: str) -> Snap:
    """One installed snap.

    Raises:
        SnapError: it is not installed.
    """
    snap = installed().get(name)
    if snap is None:
        raise SnapError(f'snap "{name}" is not installed')
    return snap


def put(snap: Snap) -> None:
    """Remember a snap, new or changed."""
    with _changing() as snaps:
        snaps[snap.name] = snap


def change(name: str, **values: Any) -> Snap:
    """Remember new values of an installed snap and return it."""
    changed = replace(get(name), **values)
    put(changed)
    return changed


def forget(name: str) -> None:
    """Remember a snap no more."""
    with _changing() as snaps:
        snaps.pop(name, None)


@contextmanager
def _changing() -> Iterator[dict[str, Snap]]:
    snaps = installed()
    yield snaps
    layout.STATE.mkdir(parents=True, exist_ok=True)
    new = _file().with_suffix(".new")
    with new.open("w") as out:
        json.dump({"snaps": {name: asdict(snap) for name, snap in snaps.items()}}, out, indent=1)
        out.flush()
        os.fsync(out.fileno())
    new.rename(_file())


def _file() -> Path:
    return layout.STATE / "state.json"
