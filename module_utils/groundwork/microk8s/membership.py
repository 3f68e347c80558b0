"""What this node is, by its lock files.

microk8s scripts/wrappers/join.py and common/cluster/utils.py make and remove them:
no-cert-reissue: in a cluster, on both sides. clustered.lock: a worker. join-in-progress: a join began and did not
succeed (only success removes it). stopped.lock: `microk8s stop` was called.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Literal

from ansible.module_utils.groundwork.microk8s.paths import Paths

Role = Literal["control_plane", "worker"]


@dataclass(frozen=True)
class Membership:
    """role: what this node is. clustered: whether it has other nodes beside it (a lone control plane has not)."""

    role: Role
    clustered: bool
    join_in_progress: bool
    stopped: bool


def observe(paths: Paths) -> Membership:
    """Read the locks of an installed MicroK8s."""
    worker = paths.locked("clustered.lock")
    return Membership(
        role="worker" if worker else "control_plane",
        clustered=worker or paths.locked("no-cert-reissue"),
        join_in_progress=paths.locked("join-in-progress"),
        stopped=paths.locked("stopped.lock"),
    )


def node_name(paths: Paths, hostname: str = "") -> str:
    """The name of this host's Kubernetes node: the kubelet's override, else the host's name in lower case."""
    try:
        arguments = paths.kubelet_arguments.read_text(encoding="utf-8")
    except OSError:
        arguments = ""
    override = re.search(r"^--hostname-override[= ]\"?([^\s\"]+)", arguments, re.MULTILINE)
    return (override[1] if override else hostname or socket.gethostname()).lower()
