"""Which packages a host's driver comes from, and when it must reboot."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.command import MISSING, Output
from ansible.module_utils.groundwork.gpu import driver
from ansible.module_utils.groundwork.gpu.driver import Host

DEBIAN = Host("debian", "12", "x86_64", "6.1.0-41-amd64", ("linux-image-amd64",))
NOBLE = Host("ubuntu", "24.04", "x86_64", "6.8.0-88-generic", ("linux-image-generic",))

# /proc/driver/nvidia/version, by NVIDIA's open-gpu-kernel-modules (kernel-open/nvidia/nv-procfs.c) and driver 580.
PROC_VERSION = """\
NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.126.09  Release Build  (dvs-builder@U22-I3)
GCC version:  gcc version 12.2.0 (Debian 12.2.0-14+deb12u1)
"""
PACKAGES = """\
linux-image-amd64 installed
linux-image-6.1.0-41-amd64 installed
linux-image-rt not-installed
"""
# `apt-cache policy` of apt 2.6, Debian 12.
POLICY = """\
linux-headers-amd64:
  Installed: (none)
  Candidate: 6.1.158-1
  Version table:
     6.1.158-1 500
        500 http://deb.debian.org/debian bookworm/main amd64 Packages
linux-headers-6.1.0-28-amd64:
  Installed: (none)
  Candidate: (none)
  Version table:
linux-image-amd64:
  Installed: 6.1.119-1
  Candidate: 6.1.158-1
  Version table:
 *** 6.1.119-1 100
        100 /var/lib/dpkg/status
"""


def test_debian_builds_the_vendors_modules() -> None:
    chosen = driver.choose(DEBIAN, "auto", "580")
    assert chosen is not None
    assert chosen.source == "vendor"
    assert chosen.repository == "debian12/x86_64"
    assert chosen.key == "3bf863cc.pub"
    assert chosen.pinning == ["nvidia-driver-pinning-580"]
    assert chosen.headers == ["linux-headers-6.1.0-41-amd64", "linux-headers-amd64"]
    assert chosen.kernel_upgrade == []
    assert chosen.driver == ["nvidia-kernel-open-dkms", "nvidia-driver-cuda", "nvidia-persistenced"]


def test_headers_of_later_kernels_are_wanted_where_those_of_this_one_are_there() -> None:
    chosen = driver.choose(dataclasses.replace(DEBIAN, headers_present=True), "vendor", "580")
    assert chosen is not None
    assert chosen.headers == ["linux-headers-amd64"]


@pytest.mark.parametrize(
    ("kernel", "installed", "headers"),
    [
        ("6.12.43+deb13-amd64", ("linux-image-amd64",), ["linux-headers-amd64"]),
        ("6.1.0-41-cloud-amd64", ("linux-image-amd64", "linux-image-cloud-amd64"), ["linux-headers-cloud-amd64"]),
        ("6.1.0-41-amd64", ("linux-image-cloud-amd64",), []),
        ("6.1.0-41-amd64", (), []),
    ],
)
def test_headers_follow_the_flavour_of_the_kernel(kernel: str, installed: tuple[str, ...], headers: list[str]) -> None:
    host = dataclasses.replace(DEBIAN, kernel=kernel, kernel_packages=installed, headers_present=True)
    chosen = driver.choose(host, "vendor", "580")
    assert chosen is not None
    assert chosen.headers == headers


def test_debian_13_has_a_key_of_its_own_and_no_old_branches() -> None:
    chosen = driver.choose(dataclasses.replace(DEBIAN, release="13"), "auto", "580")
    assert chosen is not None
    assert (chosen.repository, chosen.key) == ("debian13/x86_64", "8793F200.pub")
    assert chosen.oldest_branch == 590


def test_a_kernel_whose_signed_modules_are_gone_is_brought_up_to_date() -> None:
    has = frozenset({"linux-modules-nvidia-580-server-open-generic"})
    chosen = driver.choose(NOBLE, "auto", "580", lambda names: has.intersection(names))
    assert chosen is not None
    assert chosen.kernel_upgrade == ["linux-image-generic"]
    assert chosen.driver[0] == "linux-modules-nvidia-580-server-open-generic"
    assert "linux-modules-nvidia-580-server-open-6.8.0-88-generic" not in chosen.driver


def test_a_kernel_whose_headers_are_gone_is_brought_up_to_date() -> None:
    has = frozenset({"linux-headers-amd64"})
    chosen = driver.choose(DEBIAN, "auto", "580", lambda names: has.intersection(names))
    assert chosen is not None
    assert (chosen.kernel_upgrade, chosen.headers) == (["linux-image-amd64"], ["linux-headers-amd64"])


def test_before_apts_first_update_nothing_is_known_of_kernels() -> None:
    chosen = driver.choose(NOBLE, "auto", "580", lambda _: frozenset())
    assert chosen is not None
    assert chosen.kernel_upgrade == []
    assert chosen.driver[0] == "linux-modules-nvidia-580-server-open-6.8.0-88-generic"


def test_offered_reads_apts_candidates() -> None:
    said = Output(0, POLICY, "N: Unable to locate package linux-modules-nvidia-580-server-open-6.8.0-31-generic\n")
    assert driver.offered(lambda *_: said, ["any"]) == {"linux-headers-amd64", "linux-image-amd64"}


def test_a_module_for_another_kernel_alone_asks_for_a_reboot(tmp_path: Path) -> None:
    for kernel, module in (("6.8.0-31-generic", "zfs"), ("6.8.0-88-generic", "nvidia-580srv-open/nvidia")):
        (tmp_path / "lib/modules" / kernel).mkdir(parents=True)
        (tmp_path / "lib/modules" / kernel / "modules.dep").write_text(f"kernel/{module}.ko.zst:\n")
    assert driver.module_of_another_kernel(tmp_path, "6.8.0-31-generic")
    assert not driver.module_of_another_kernel(tmp_path, "6.8.0-88-generic")
    host = dataclasses.replace(NOBLE, module_of_another_kernel=True)
    assert len(driver.reboot_reasons(host)) == 1
    assert driver.reboot_reasons(dataclasses.replace(host, installed_version="580.126.09")) == []


def test_ubuntu_takes_its_own_signed_modules() -> None:
    chosen = driver.choose(NOBLE, "auto", "580")
    assert chosen is not None
    assert (chosen.source, chosen.repository, chosen.pinning) == ("distribution", "", [])
    assert chosen.driver == [
        "linux-modules-nvidia-580-server-open-6.8.0-88-generic",
        "linux-modules-nvidia-580-server-open-generic",
        "nvidia-headless-no-dkms-580-server-open",
        "nvidia-utils-580-server",
    ]


@pytest.mark.parametrize(
    ("branch", "modules"), [("580", "nvidia-dkms-580-open"), ("590", "nvidia-dkms-open"), ("595", "nvidia-dkms-open")]
)
def test_the_vendor_drops_suffixes_on_ubuntu_from_590_on(branch: str, modules: str) -> None:
    chosen = driver.choose(NOBLE, "vendor", branch)
    assert chosen is not None
    assert chosen.repository == "ubuntu2404/x86_64"
    assert chosen.driver[0] == modules


@pytest.mark.parametrize(
    ("kernel", "installed", "flavour"),
    [
        ("6.8.0-88-generic", ("linux-image-generic",), "generic"),
        ("6.8.0-88-generic", ("linux-image-generic", "linux-image-generic-hwe-22.04"), "generic-hwe-22.04"),
        ("6.8.0-88-generic", ("linux-image-virtual",), "generic"),
        ("6.8.0-1030-aws", ("linux-image-aws",), "aws"),
        ("6.8.0-1040-nvidia", ("linux-image-generic", "linux-image-nvidia"), "nvidia"),
        ("6.8.0-88-generic", (), "generic"),
    ],
)
def test_kernel_flavour(kernel: str, installed: tuple[str, ...], flavour: str) -> None:
    assert driver.kernel_flavour(dataclasses.replace(NOBLE, kernel=kernel, kernel_packages=installed)) == flavour


@pytest.mark.parametrize(
    ("changes", "source"),
    [
        ({"release": "11"}, "auto"),
        ({"distribution": "fedora"}, "auto"),
        ({"architecture": "riscv64"}, "auto"),
        ({}, "distribution"),
    ],
)
def test_what_is_not_known_has_no_packages(changes: dict[str, str], source: str) -> None:
    assert driver.choose(dataclasses.replace(DEBIAN, **changes), source, "580") is None  # type: ignore[arg-type]
    assert driver.report(DEBIAN, None)["supported"] is False


@pytest.mark.parametrize(
    ("nouveau", "loaded", "installed", "count"),
    [
        (False, None, None, 0),
        (False, None, "580.126.09", 0),
        (False, "580.126.09", "580.126.09", 0),
        (False, "580.95.05", "580.126.09", 1),
        (True, None, "580.126.09", 1),
    ],
)
def test_reboot_reasons(nouveau: bool, loaded: str | None, installed: str | None, count: int) -> None:
    host = dataclasses.replace(DEBIAN, nouveau_loaded=nouveau, loaded_version=loaded, installed_version=installed)
    assert len(driver.reboot_reasons(host)) == count


def test_observe_reads_a_host(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('PRETTY_NAME="Debian"\nID=debian\nVERSION_ID="12"\n')
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").write_text(PROC_VERSION)
    (tmp_path / "sys/module/nouveau").mkdir(parents=True)
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/nvidia-uninstall").touch()
    answers = {
        "dpkg-query": Output(0, PACKAGES),
        "mokutil": Output(0, "SecureBoot enabled\n"),
        "modinfo": Output(0, "580.126.09\n"),
    }

    def run(argv: Sequence[str], timeout_seconds: float) -> Output:
        assert timeout_seconds > 0
        return answers[argv[0]]

    host = driver.observe(run, tmp_path)
    assert (host.distribution, host.release) == ("debian", "12")
    assert host.kernel_packages == ("linux-image-amd64",)
    assert host.secure_boot
    assert host.nouveau_loaded
    assert host.runfile_installed
    assert host.loaded_version == host.installed_version == "580.126.09"


@pytest.mark.parametrize(
    ("value", "enabled"), [(b"\x06\x00\x00\x00\x01", True), (b"\x06\x00\x00\x00\x00", False), (None, False)]
)
def test_secure_boot_by_the_firmwares_variable(tmp_path: Path, value: bytes | None, enabled: bool) -> None:
    variable = tmp_path / driver.SECURE_BOOT_VARIABLE
    if value is not None:
        variable.parent.mkdir(parents=True)
        variable.write_bytes(value)
    assert driver.secure_boot(lambda *_: Output(MISSING), tmp_path) is enabled
