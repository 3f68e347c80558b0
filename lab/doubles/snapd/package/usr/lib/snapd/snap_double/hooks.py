"""Running a snap's programs: its apps and hooks, in the environment that snapd gives them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from . import layout, state
from .errors import SnapError
from .state import Snap


def environment(snap: Snap) -> dict[str, str]:
    """The SNAP variables of a program of the snap, added to the caller's environment."""
    home = Path(os.environ.get("HOME", "/root"))
    user = home / "snap" / snap.name
    return os.environ | {
        "SNAP": str(layout.mounted(snap.name, snap.revision)),
        "SNAP_NAME": snap.name,
        "SNAP_INSTANCE_NAME": snap.name,
        "SNAP_REVISION": snap.revision,
        "SNAP_VERSION": snap.version,
        "SNAP_ARCH": "amd64",
        "SNAP_DATA": str(layout.data(snap.name, snap.revision)),
        "SNAP_COMMON": str(layout.common(snap.name)),
        "SNAP_USER_DATA": str(user / snap.revision),
        "SNAP_USER_COMMON": str(user / "common"),
    }


def run_app(full: str, arguments: Sequence[str]) -> NoReturn:
    """Become the program of an app, SNAP or SNAP.APP.

    Raises:
        SnapError: there is no such snap or app.
    """
    name, _, app = full.partition(".")
    snap = state.get(name)
    try:
        command, *words = snap.apps[app or name]["command"].split()
    except KeyError:
        raise SnapError(f'cannot find app "{app or name}" in "{name}"') from None
    inside = layout.mounted(name, snap.revision) / command
    os.execve(inside, [str(inside), *words, *arguments], environment(snap))


def run_hook(snap: Snap, hook: str) -> None:
    """Run a hook if the snap has it; what it prints is shown only if it fails.

    Raises:
        SnapError: it failed.
    """
    program = layout.mounted(snap.name, snap.revision) / "meta/hooks" / hook
    if not program.exists():
        return
    inside = environment(snap) | {"SNAP_COOKIE": hook}
    done = subprocess.run(
        [program], env=inside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        log = done.stdout.strip() or f"exit status {done.returncode}"
        raise SnapError(
            "cannot perform the following tasks:\n"
            f'- Run {hook} hook of "{snap.name}" snap if present (run hook "{hook}":\n-----\n{log}\n-----)'
        )
