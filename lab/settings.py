"""Kernel settings that all containers share and that labs change; with the last lab they are again as they were.

Hosts forward packets; role host_base raises inotify's limits; a kubelet sets what it needs of a kernel
(https://github.com/kubernetes/kubernetes/blob/master/pkg/util/sysctl/sysctl.go).
"""

from __future__ import annotations

import json
from pathlib import Path

KERNEL = Path("/proc/sys")
NAMES = (
    "fs/inotify/max_user_instances",
    "fs/inotify/max_user_watches",
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/ipv4/ip_forward",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)


def save(file: Path) -> None:
    """Write down how they are."""
    file.write_text(json.dumps({name: _read(name) for name in NAMES if (KERNEL / name).exists()}))


def put_back(file: Path) -> None:
    """Set them as they were when `file` was written, if it was; one that is so already is not touched."""
    for name, value in json.loads(file.read_text() if file.exists() else "{}").items():
        if _read(name) != value:
            (KERNEL / name).write_text(value)


def _read(name: str) -> str:
    return (KERNEL / name).read_text().strip()
