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


def test_debian_builds_the_vendors_modules() -> None:
    chosen = driver.choose(DEBIAN, "auto", "580")
    assert chosen is not None
    assert chosen.source == "vendor"
    assert chosen.repository == "debian12/x86_64"
    assert chosen.key == "3bf863cc.pub"
    assert chosen.pinning == ["nvidia-driver-pinning-580"]
    assert chosen.headers == ["linux-headers-6.1.0-41-amd64"]
    assert chosen.driver == ["nvidia-kernel-open-dkms", "nvidia-driver-cuda", "nvidia-persistenced"]


def test_headers_that_are_there_are_not_asked_for() -> None:
    chosen = driver.choose(dataclasses.replace(DEBIAN, headers_present=True), "vendor", "580")
    assert chosen is not None
    assert chosen.headers == []


def test_debian_13_has_a_key_of_its_own() -> None:
    chosen = driver.choose(dataclasses.replace(DEBIAN, release="13"), "auto", "580")
    assert chosen is not None
    assert (chosen.repository, chosen.key) == ("debian13/x86_64", "8793F200.pub")


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
