"""Whether this machine can run a lab: asked before anything is changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from lab import paths
from lab.errors import LabError

PROGRAMS = (
    *("podman", "crun", "mmdebstrap", "iptables", "ip", "nsenter", "unshare", "taskset", "mount"),
    *("ssh", "ssh-keygen"),
)
# What the first build takes at its peak, and what three hosts with a finished site write.
COLD_DISK_GIB, WARM_DISK_GIB = 22, 6
BASE_MEMORY_MIB, HOST_MEMORY_MIB = 512, 700  # of a finished site, see docs/lab.md
_GIB, _MIB = 1 << 30, 1 << 20


def check(new_hosts: int) -> None:
    """Make sure that the machine can take so many hosts more.

    Raises:
        LabError: it cannot; the message lists everything that is missing at once.
    """
    if os.geteuid() != 0:
        raise LabError(
            "the lab makes containers, mounts and a network, which only root may do", "run it as root, or by sudo"
        )
    if absent := [program for program in PROGRAMS if shutil.which(program) is None]:
        raise LabError(
            f"not installed on this machine: {', '.join(absent)}",
            "run script/setup --lab, which installs lab/machine-packages.txt",
        )
    if unfit := [mark for mark in ",: " if mark in str(paths.CACHE)]:
        raise LabError(
            f"GROUNDWORK_CACHE={paths.CACHE} contains {unfit[0]!r}, which overlay mounts cannot have",
            "choose another directory",
        )
    short = list(
        shortages(_free_disk(paths.CACHE), _available_memory(), new_hosts, is_built=any(paths.PROGRAMS.glob("*/*")))
    )
    if short:
        raise LabError(
            "; ".join(short), "free some, or set GROUNDWORK_CACHE to a directory on a larger disk, or raise fewer hosts"
        )


def shortages(disk: int, memory: int, hosts: int, *, is_built: bool) -> Iterator[str]:
    """Say what is too little.

    Args:
        disk: free bytes where the cache is.
        memory: available bytes.
        hosts: how many are to be started.
        is_built: whether the lab's programs are in the cache.
    """
    disk_needed = WARM_DISK_GIB if is_built else COLD_DISK_GIB
    if hosts and disk < disk_needed * _GIB:
        yield f"{paths.CACHE} has {disk / _GIB:.1f} GiB free, and the lab needs {disk_needed} GiB"
    memory_needed = BASE_MEMORY_MIB + hosts * HOST_MEMORY_MIB
    if hosts and memory < memory_needed * _MIB:
        yield f"{memory // _MIB} MiB of memory are available, and {hosts} more hosts need {memory_needed} MiB"


def _free_disk(directory: Path) -> int:
    while not directory.exists():
        directory = directory.parent
    return shutil.disk_usage(directory).free


def _available_memory() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
