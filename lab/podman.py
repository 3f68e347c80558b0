"""podman as the lab uses it: in the lab's mount namespace, with storage and state of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab import cgroups, namespace
from lab.run import run, succeeds


def podman(*arguments: str, groups: Sequence[Path] = (), timeout: float | None = 600) -> str:
    """Run podman and return what it prints. Call it while `namespace.held()`.

    Args:
        *arguments: its verb, options and arguments.
        groups: control groups that podman, and so a container that it starts, joins first.
        timeout: seconds.

    Raises:
        LabError: podman failed.
    """
    return inside("podman", *arguments, groups=groups, timeout=timeout)


def inside(*command: str, groups: Sequence[Path] = (), timeout: float | None = 600) -> str:
    """Run any command in the lab's namespace with podman's settings, such as buildah or mount."""
    return run(cgroups.joining(groups, namespace.entering(command)), environment=namespace.ENVIRONMENT, timeout=timeout)


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
