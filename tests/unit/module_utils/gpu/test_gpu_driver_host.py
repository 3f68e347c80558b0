"""What is seen of a host: files and the outputs of its programs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.command import MISSING, Output
from ansible.module_utils.groundwork.gpu import driver_host
from ansible.module_utils.groundwork.gpu.driver_host import Host, Package

from tests.unit.module_utils.fakes import Commands

# /proc/driver/nvidia/version, by NVIDIA's open-gpu-kernel-modules (kernel-open/nvidia/nv-procfs.c) and driver 580.
PROC_VERSION = """\
NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.126.09  Release Build  (dvs-builder@U22-I3)
GCC version:  gcc version 12.2.0 (Debian 12.2.0-14+deb12u1)
"""
PACKAGES = """\
linux-image-amd64 6.1.158-1 install installed
linux-image-6.1.0-41-amd64 6.1.158-1 install installed
linux-image-rt-amd64 6.1.119-1 deinstall config-files
nvidia-kernel-open-dkms 580.126.09-1 hold installed
libnvidia-ml1 580.126.09-1 install installed
libc6 2.36-9 install installed
"""
# `modinfo nvidia`, cut short: of the open modules by DKMS on Debian 12, and of the proprietary ones on Ubuntu.
MODINFO = """\
filename:       /lib/modules/6.1.0-41-amd64/updates/dkms/nvidia.ko
alias:          char-major-195-*
version:        580.126.09
supported:      external
license:        Dual MIT/GPL
firmware:       nvidia/580.126.09/gsp_tu10x.bin
parm:           NVreg_ResmanDebugLevel:int
"""
PROPRIETARY = """\
filename:       /lib/modules/6.8.0-generic/updates/dkms/nvidia.ko
firmware:       nvidia/550.90.07/gsp_tu10x.bin
firmware:       nvidia/550.90.07/gsp_ad10x.bin
version:        550.90.07
supported:      external
license:        NVIDIA
"""
# `apt-cache policy` of apt 2.6, Debian 12, with the vendor's repository.
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
nvidia-driver-pinning-580:
  Installed: 580-5
  Candidate: 580-5
  Version table:
 *** 580-5 500
        500 https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64  Packages
        100 /var/lib/dpkg/status
     580-1 500
        500 https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64  Packages
linux-image-amd64:
  Installed: 6.1.119-1
  Candidate: 6.1.158-1
  Version table:
 *** 6.1.119-1 100
        100 /var/lib/dpkg/status
"""
# `mokutil --sb-state`: https://github.com/lcp/mokutil, src/mokutil.c, sb_state, in its versions.
SHIM_OFF = "SecureBoot enabled\nSecureBoot validation is disabled in shim\n"
STATES = [
    (Output(0, "SecureBoot enabled\n"), True),
    (Output(0, "SecureBoot disabled\n"), False),
    (Output(0, "SecureBoot disabled\nPlatform is in Setup Mode\n"), False),
    (Output(0, SHIM_OFF), False),
    (Output(255, "", "EFI variables are not supported on this system\n"), False),
]


def test_observe_reads_a_host(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('PRETTY_NAME="Debian"\nID=debian\nVERSION_ID="12"\n')
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").write_text(PROC_VERSION)
    (tmp_path / "sys/module/nouveau").mkdir(parents=True)
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/nvidia-uninstall").touch()
    library = tmp_path / "usr/lib/x86_64-linux-gnu"
    library.mkdir(parents=True)
    (library / "libnvidia-ml.so.580.126.09").touch()
    (library / "libnvidia-ml.so.1").symlink_to("libnvidia-ml.so.580.126.09")
    commands = {
        "dpkg-query": Output(0, PACKAGES),
        "mokutil --sb-state": Output(0, "SecureBoot enabled\n"),
        "modinfo": Output(0, MODINFO),
    }
    host = driver_host.observe(Commands(commands), tmp_path)
    assert (host.distribution, host.release) == ("debian", "12")
    assert host.kernel_packages == ("linux-image-amd64",)
    assert host.secure_boot
    assert host.nouveau_loaded
    assert host.runfile_installed
    assert host.loaded_version == host.installed_version == host.library_version == "580.126.09"
    assert (host.loaded_is_open, host.installed_is_open) == (True, True)
    assert host.packages["nvidia-kernel-open-dkms"] == Package("580.126.09-1", held=True)
    assert "libc6" not in host.packages
    assert driver_host.to_dict(host)["packages"] == {name: one.version for name, one in host.packages.items()}


def test_a_bare_host_has_nothing(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text("ID=debian\n")
    host = driver_host.observe(Commands({}), tmp_path)
    assert host == Host("debian", "", host.architecture, host.kernel)


@pytest.mark.parametrize(("said", "is_open"), [(MODINFO, True), (PROPRIETARY, False)])
def test_modinfo_tells_open_from_proprietary(tmp_path: Path, said: str, is_open: bool) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text("ID=debian\n")
    host = driver_host.observe(Commands({"modinfo": Output(0, said)}), tmp_path)
    assert (host.installed_version in said, host.installed_is_open) == (True, is_open)  # type: ignore[operator]


def test_a_missing_module_is_none() -> None:
    said = Output(1, "", "modinfo: ERROR: Module nvidia not found.\n")
    assert driver_host.modinfo(Commands({"modinfo": said})) == {}


def test_offered_reads_apts_candidates() -> None:
    said = Output(0, POLICY, "N: Unable to locate package linux-modules-nvidia-580-server-open-6.8.0-31-generic\n")
    assert driver_host.offered(Commands({"apt-cache": said}), ["any"]) == {
        "linux-headers-amd64",
        "nvidia-driver-pinning-580",
        "linux-image-amd64",
    }


def kernel(root: Path, release: str, *modules: str) -> None:
    (root / "lib/modules" / release).mkdir(parents=True)
    lines = [f"{module}:\n" for module in modules]
    (root / "lib/modules" / release / "modules.dep").write_text("".join(lines))


@pytest.mark.parametrize(
    ("running", "another", "newer"),
    [
        ("6.8.0-31-generic", True, ("6.8.0-100-generic",)),
        ("6.8.0-88-generic", False, ("6.8.0-100-generic",)),
        ("6.8.0-100-generic", True, ()),
    ],
)
def test_modules_of_other_kernels(tmp_path: Path, running: str, another: bool, newer: tuple[str, ...]) -> None:
    kernel(tmp_path, "6.8.0-31-generic", "kernel/zfs.ko.zst")
    kernel(tmp_path, "6.8.0-88-generic", "kernel/nvidia-580srv-open/nvidia.ko.zst")
    kernel(tmp_path, "6.8.0-100-generic", "kernel/zfs.ko.zst")
    (tmp_path / "lib/modules/6.8.0-110-generic/build").mkdir(parents=True)  # headers alone
    others = [path for path in driver_host.kernels(tmp_path) if path.name != running]
    assert any(map(driver_host.has_module, others)) is another
    assert driver_host.newer_without_module(tmp_path, running) == newer


@pytest.mark.parametrize(("said", "on"), STATES, ids=lambda value: getattr(value, "text", value))
def test_secure_boot_as_mokutil_says(tmp_path: Path, said: Output, on: bool) -> None:
    assert driver_host.secure_boot(Commands({"mokutil": said}), tmp_path) is on


@pytest.mark.parametrize(
    ("value", "enabled"), [(b"\x06\x00\x00\x00\x01", True), (b"\x06\x00\x00\x00\x00", False), (None, False)]
)
def test_secure_boot_by_the_firmwares_variable(tmp_path: Path, value: bytes | None, enabled: bool) -> None:
    variable = tmp_path / driver_host.SECURE_BOOT_VARIABLE
    if value is not None:
        variable.parent.mkdir(parents=True)
        variable.write_bytes(value)
    assert driver_host.secure_boot(lambda *_: Output(MISSING), tmp_path) is enabled


@pytest.mark.parametrize(
    ("name", "enrolled"), [*((name, True) for name in driver_host.OWN_KEYS), ("", True), ("", False)]
)
def test_the_key_that_dkms_signs_with_is_enrolled_or_not(tmp_path: Path, name: str, enrolled: bool) -> None:
    key = b"a certificate in DER"
    path = tmp_path / (name or "var/lib/dkms/mok.pub")
    path.parent.mkdir(parents=True)
    path.write_bytes(key if enrolled else b"another")
    found = hashlib.sha1(key, usedforsecurity=False).hexdigest()
    fingerprint = ":".join(found[at : at + 2] for at in range(0, len(found), 2))
    listed = Output(0, f"[key 1]\nSHA1 Fingerprint: {fingerprint}\nCertificate:\n    Data:\n        Version: 3 (0x2)\n")
    assert driver_host.own_key_enrolled(Commands({"mokutil --list-enrolled": listed}), tmp_path) is enrolled
    assert driver_host.own_key_enrolled(Commands({}), tmp_path / "elsewhere") is False


@pytest.mark.parametrize(
    ("version", "wanted", "same"),
    [
        ("580.126.09-1", "580.126.09", True),
        ("1:580.126.09-0ubuntu0.24.04.1", "580.126.09", True),
        ("580.126.09-1", "580.126.0", False),
        ("580.95.05-1", "580.126.09", False),
        ("6.8.0-88.89+1", "580.126.09", False),
    ],
)
def test_versions_of_packages_are_those_of_a_driver(version: str, wanted: str, same: bool) -> None:
    host = Host("debian", "12", "x86_64", "6.1", packages={"one": Package(version)})
    assert host.has("one", wanted) is same
    assert not host.has("another", wanted)
