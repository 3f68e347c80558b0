"""podman as the lab uses it: in the lab's mount namespace, with storage and state of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab import cgroups, namespace, paths
from lab.run import run, succeeds


def podman(*arguments: str) -> str:
    """Run podman and return what it prints. Call it while `namespace.held()`.

    Raises:
        LabError: podman failed.
    """
    return inside("podman", *arguments)


def change(container: str, *arguments: str, groups: Sequence[Path] = ()) -> None:
    """Run podman to start or remove a container, one such command after the other, and each to its end.

    podman forgets to free the address of a container whose start was interrupted, and does so too when it removes one
    that another podman is just starting. So Ctrl-C does not reach it; and should we be killed, the lock, which is held
    by a process of its own and not inherited by the container, makes the next command wait for this one.

    Args:
        container: its name.
        *arguments: podman's verb, options and arguments.
        groups: control groups that the container joins.

    Raises:
        LabError: podman failed.
    """
    locks = paths.RUN / "locks"
    locks.mkdir(exist_ok=True)
    command = ["flock", "--close", str(locks / container), *namespace.entering(["podman", *arguments])]
    run(cgroups.joining(groups, command), environment=namespace.ENVIRONMENT, timeout=600, uninterrupted=True)


def inside(*command: str) -> str:
    """Run any command in the lab's namespace with podman's settings, such as mount."""
    return run(namespace.entering(command), environment=namespace.ENVIRONMENT, timeout=600)


def holds(*arguments: str) -> bool:
    """Tell whether a question put to podman is answered with yes, such as ("image", "exists", NAME)."""
    return succeeds(namespace.entering(["podman", *arguments]), namespace.ENVIRONMENT, timeout=60)


def attached(*arguments: str) -> int:
    """Run podman on our own terminal and return its exit status."""
    return subprocess.run(
        namespace.entering(["podman", *arguments]), env={**os.environ, **namespace.ENVIRONMENT}
    ).returncode


def containers(label: str, value: str) -> list[dict[str, Any]]:
    """List the containers with this label, whatever state they are in, as podman's JSON has them."""
    found: list[dict[str, Any]] = json.loads(
        podman("ps", "--all", "--format", "json", "--filter", f"label={label}={value}") or "[]"
    )
    return found
