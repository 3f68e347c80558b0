"""What a host is: its system, its size, its clock and its place in the network, as the kernel and its files say."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

TIME_SERVICES = ("chrony", "ntpsec", "openntpd", "ntp", "systemd-timesyncd")
"""Units that keep the time, those first whose packages replace the others."""
UNITS, MASKS = Path("/usr/lib/systemd/system"), Path("/etc/systemd/system")
"""Where packages put their units, and where a link to nowhere masks one (systemd.unit(5))."""


@dataclass(frozen=True)
class Host:
    """A host as found.

    system        os-release's ID and VERSION_ID: `debian 12`
    init          the program of process 1
    cgroup        file system at /sys/fs/cgroup: cgroup2, or tmpfs with version 1 and in hybrid mode
    disk_free_mib free for root at the place that was asked for
    time          seconds since 1970, in UTC
    time_service  the unit that keeps the time, or None
    container     whether the host is a container, whose clock is the machine's outside
    package_lists whether apt has lists; an image may come without, and with a date that looks fresh
    firewall      ufw, firewalld or nftables, where one of them is on; None where none is
    """

    system: str
    architecture: str
    init: str
    cgroup: str
    name: str
    user_id: int
    memory_mib: int
    disk_free_mib: int
    default_route: bool
    time: float
    time_service: str | None
    container: bool
    package_lists: bool
    firewall: str | None = None

    def to_dict(self) -> dict[str, object]:
        """The JSON shape."""
        return asdict(self)


def observe(disk: Path) -> Host:
    """This host; `disk` may not exist yet."""
    return Host(
        system=system(Path("/etc/os-release").read_text()),
        architecture=platform.machine(),
        init=Path("/proc/1/comm").read_text().strip(),
        cgroup=file_system("/sys/fs/cgroup", Path("/proc/self/mountinfo").read_text()),
        name=socket.gethostname(),
        user_id=os.geteuid(),
        memory_mib=memory_mib(Path("/proc/meminfo").read_text()),
        disk_free_mib=shutil.disk_usage(_nearest(disk)).free // 2**20,
        default_route=has_default_route(Path("/proc/net/route").read_text()),
        time=time.time(),
        time_service=time_service(_units()),
        container=Path("/run/systemd/container").exists(),
        package_lists=any(Path("/var/lib/apt/lists").glob("*_Packages*")),
        firewall=firewall(Path("/")),
    )


def system(os_release: str) -> str:
    """`debian 12` out of os-release's text; its values may be quoted (os-release(5))."""
    values = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    return " ".join(values.get(key, "?").strip().strip("\"'") for key in ("ID", "VERSION_ID"))


def file_system(place: str, mountinfo: str) -> str:
    """The type of the last file system mounted at `place` (proc_pid_mountinfo(5)); empty where there is none."""
    found = ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[4:5] == [place]:
            found = after.split()[0]
    return found


def memory_mib(meminfo: str) -> int:
    """MemTotal of /proc/meminfo, which counts in KiB."""
    return next(int(line.split()[1]) // 1024 for line in meminfo.splitlines() if line.startswith("MemTotal:"))


def has_default_route(routes: str) -> bool:
    """Whether /proc/net/route has a route to everywhere: destination and mask 0."""
    rows = (line.split() for line in routes.splitlines()[1:])
    return any(row[1] == "00000000" and row[7] == "00000000" for row in rows if len(row) > 7)


def time_service(units: Iterable[str]) -> str | None:
    """The first known service among the names of installed units."""
    installed = set(units)
    return next((name for name in TIME_SERVICES if f"{name}.service" in installed), None)


def firewall(root: Path) -> str | None:
    """The firewall that is on, by its settings or its unit; rules that others load are not looked for."""
    ufw = root / "etc/ufw/ufw.conf"
    if ufw.exists() and "ENABLED=yes" in ufw.read_text().split():
        return "ufw"
    if (root / "sys/fs/cgroup/system.slice/firewalld.service").is_dir():
        return "firewalld"
    return "nftables" if (root / "etc/systemd/system/sysinit.target.wants/nftables.service").is_symlink() else None


def _units() -> list[str]:
    return [unit.name for unit in UNITS.iterdir() if (MASKS / unit.name).resolve() != Path("/dev/null")]


def _nearest(path: Path) -> Path:
    """The path itself or its nearest ancestor that exists."""
    return path if path.exists() else _nearest(path.parent)
