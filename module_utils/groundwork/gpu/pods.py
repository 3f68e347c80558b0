"""Which pod a process of this host belongs to, told without asking Kubernetes.

Its control group is named after the pod's UID, by both of the kubelet's drivers, and the kubelet's folder of logs
after namespace, name and UID (kubernetes/kubernetes, pkg/kubelet/kuberuntime/helpers.go, BuildPodLogsDirectory).
"""

from __future__ import annotations

import re
from pathlib import Path

LOGS = Path("/var/log/pods")
UID = re.compile(r"[/-]pod(?P<uid>[0-9a-f]{8}(?:[-_]?[0-9a-f]{4}){3}[-_]?[0-9a-f]{12})(?:[/.]|$)", re.MULTILINE)
"""cgroupfs writes a UID as it is, systemd with underscores; a static pod's is without either."""


def of(pid: int, proc: Path = Path("/proc"), logs: Path = LOGS) -> str | None:
    """The pod's namespace/name, its UID where the kubelet keeps no logs of it; None for a process of no pod."""
    try:
        match = UID.search((proc / str(pid) / "cgroup").read_text(encoding="utf-8"))
    except OSError:  # it ended, or lives in a process namespace that is not ours
        return None
    if match is None:
        return None
    uid = match["uid"].replace("_", "-")
    folder = next(logs.glob(f"*_{uid}"), None)
    return "/".join(folder.name.split("_")[:2]) if folder else uid
