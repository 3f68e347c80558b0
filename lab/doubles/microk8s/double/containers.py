"""The containers of this node, all at once [remove_all_containers]."""

from __future__ import annotations

import subprocess

from . import arguments, node


def remove_all() -> None:
    """Kill and delete every container of the kubelet; containerd must run."""
    for task in _listed("task"):
        _ctr("task", "kill", "-s", "SIGKILL", "--all", task)
    for task in _listed("task"):
        _ctr("task", "delete", "--force", task)
    for container in _listed("container"):
        _ctr("container", "delete", container)


def _listed(kind: str) -> list[str]:
    return _ctr(kind, "ls", "-q").split()


def _ctr(*words: str) -> str:
    command = [str(node.snap() / "bin/ctr"), *arguments.words("ctr"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout
