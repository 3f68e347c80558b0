"""What the kernel's files say, out of real ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.groundwork.host import observe

HYBRID = """\
25 30 0:23 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
30 25 0:26 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,size=4096k,nr_inodes=1024,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:10 - cgroup2 cgroup2 rw,nsdelegate
32 30 0:28 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime shared:11 - cgroup cgroup rw,xattr,name=systemd
"""
UNIFIED = """\
24 29 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
"""
ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t01004D0A\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t00004D0A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
"""


@pytest.mark.parametrize(
    ("os_release", "system"),
    [
        ('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n', "debian 12"),
        ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\nVERSION="24.04.1 LTS (Noble Numbat)"\n', "ubuntu 24.04"),
        ("ID='rocky'\n# a comment\nVERSION_ID='9.4'\n", "rocky 9.4"),
        ("ID=arch\n", "arch ?"),
    ],
)
def test_system(os_release: str, system: str) -> None:
    assert observe.system(os_release) == system


@pytest.mark.parametrize(
    ("mountinfo", "kind"),
    [(UNIFIED, "cgroup2"), (HYBRID, "tmpfs"), ("", ""), (HYBRID + UNIFIED, "cgroup2")],
    ids=["unified", "hybrid", "none", "the last mount covers the others"],
)
def test_file_system(mountinfo: str, kind: str) -> None:
    assert observe.file_system("/sys/fs/cgroup", mountinfo) == kind


def test_memory() -> None:
    assert observe.memory_mib("MemTotal:       24681916 kB\nMemFree:         9000000 kB\n") == 24103


def test_default_route() -> None:
    assert observe.has_default_route(ROUTES)
    assert not observe.has_default_route("\n".join(line for line in ROUTES.splitlines() if "01004D0A" not in line))


@pytest.mark.parametrize(
    ("units", "service"),
    [
        (["ssh.service", "systemd-timesyncd.service"], "systemd-timesyncd"),
        (["systemd-timesyncd.service", "chrony.service"], "chrony"),
        (["ssh.service"], None),
    ],
)
def test_time_service(units: list[str], service: str | None) -> None:
    assert observe.time_service(units) == service


def test_this_host(tmp_path: Path) -> None:
    """Whatever it is, it can be read, also where the place for the disk is not there yet."""
    host = observe.observe(tmp_path / "not/there/yet")
    assert host.memory_mib > 0
    assert host.disk_free_mib > 0
    assert set(host.to_dict()) == set(observe.Host.__dataclass_fields__)


@pytest.mark.parametrize(
    ("ufw", "unit", "firewall"),
    [
        ("# comment\nENABLED=yes\nLOGLEVEL=low\n", "", "ufw"),
        ("ENABLED=no\n", "", None),
        ("ENABLED=no\n", "firewalld", "firewalld"),
        (None, "nftables", "nftables"),
        (None, "", None),
    ],
)
def test_firewall(tmp_path: Path, ufw: str | None, unit: str, firewall: str | None) -> None:
    if ufw is not None:
        (tmp_path / "etc/ufw").mkdir(parents=True)
        (tmp_path / "etc/ufw/ufw.conf").write_text(ufw)
    if unit == "firewalld":
        (tmp_path / "sys/fs/cgroup/system.slice/firewalld.service").mkdir(parents=True)
    if unit == "nftables":
        (tmp_path / "etc/systemd/system/sysinit.target.wants").mkdir(parents=True)
        link = tmp_path / "etc/systemd/system/sysinit.target.wants/nftables.service"
        link.symlink_to("/lib/systemd/system/nftables.service")
    assert observe.firewall(tmp_path) == firewall
