"""NVIDIA's devices in sysfs, and the loaded kernel module."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.groundwork.gpu import kernel, pci
from ansible.module_utils.groundwork.gpu.model import PciDevice
from hypothesis import given
from hypothesis import strategies as st


def plug(sysfs: Path, bus_id: str, driver: str | None = None, **attributes: str) -> Path:
    """A device as the kernel shows an H100; attributes replace its own."""
    files = {
        "vendor": "0x10de",
        "device": "0x2330",
        "class": "0x030200",
        "subsystem_device": "0x16c1",
        "numa_node": "0",
        "local_cpulist": "0-15,32-47",
        "current_link_width": "16",
        "max_link_width": "16",
        "current_link_speed": "32.0 GT/s PCIe",
        "max_link_speed": "32.0 GT/s PCIe",
    }
    directory = sysfs / "bus/pci/devices" / bus_id
    directory.mkdir(parents=True)
    for name, text in {**files, **attributes}.items():
        (directory / name).write_text(text + "\n")
    if driver:
        (directory / "driver").symlink_to(f"../../../../bus/pci/drivers/{driver}")
    return directory


def test_a_gpu_is_described_without_a_driver(tmp_path: Path) -> None:
    plug(tmp_path, "0000:1b:00.0")
    assert pci.observe(tmp_path) == (
        PciDevice(
            "0000:1b:00.0", "gpu", "2330", "16c1", None, 0, 16, 16, "32.0 GT/s PCIe", "32.0 GT/s PCIe", "0-15,32-47"
        ),
    )


@pytest.mark.parametrize("driver", ["nvidia", "nouveau", "vfio-pci"])
def test_the_bound_driver_is_named(tmp_path: Path, driver: str) -> None:
    plug(tmp_path, "0000:1b:00.0", driver)
    assert [device.driver for device in pci.observe(tmp_path)] == [driver]


@pytest.mark.parametrize(
    ("vendor", "kind", "wanted"),
    [
        ("0x10de", "0x030000", ["gpu"]),  # a VGA controller: GPUs with a display
        ("0x10de", "0x030200", ["gpu"]),  # a 3D controller: those without
        ("0x10de", "0x068000", ["nvswitch"]),
        ("0x10de", "0x040300", []),  # the sound of a display
        ("0x10de", "0x0c0330", []),  # USB of a Turing board
        ("0x1002", "0x030000", []),  # another vendor's
        ("0x1a03", "0x030000", []),  # the server's own graphics
    ],
)
def test_only_nvidias_gpus_and_switches_count(tmp_path: Path, vendor: str, kind: str, wanted: list[str]) -> None:
    plug(tmp_path, "0000:1b:00.0", vendor=vendor, **{"class": kind})
    assert [device.kind for device in pci.observe(tmp_path)] == wanted


def test_devices_come_in_the_order_of_their_bus_ids(tmp_path: Path) -> None:
    for bus_id in ("0000:d1:00.0", "0000:1b:00.0", "0001:0a:00.0"):
        plug(tmp_path, bus_id)
    assert [device.bus_id for device in pci.observe(tmp_path)] == ["0000:1b:00.0", "0000:d1:00.0", "0001:0a:00.0"]


def test_no_numa_and_a_dead_link_are_none(tmp_path: Path) -> None:
    directory = plug(tmp_path, "0000:1b:00.0", numa_node="-1", current_link_width="Unknown", local_cpulist="")
    (directory / "max_link_speed").unlink()
    (found,) = pci.observe(tmp_path)
    assert (found.numa_node, found.link_width, found.link_speed_max, found.cpu_affinity) == (None, None, None, None)


def test_a_host_without_pci_has_none(tmp_path: Path) -> None:
    assert pci.observe(tmp_path) == ()


@given(st.integers(0, 0xFFFF), st.integers(0, 255), st.integers(0, 31), st.integers(0, 7))
def test_both_spellings_of_a_bus_id_are_one(domain: int, bus: int, slot: int, function: int) -> None:
    wanted = f"{domain:04x}:{bus:02x}:{slot:02x}.{function}"
    assert pci.sysfs_bus_id(f"{domain:08X}:{bus:02X}:{slot:02X}.{function}") == wanted
    assert pci.sysfs_bus_id(wanted) == wanted


VERSIONS = [
    # R580, open modules
    (
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.126.09  Release Build  (dvs-builder@U22)\n"
        "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14+deb12u1)\n",
        ("580.126.09", True),
    ),
    # R535, proprietary modules
    (
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\n"
        "GCC version:  gcc version 11.4.0 (Ubuntu 11.4.0-1ubuntu1~22.04)\n",
        ("535.183.01", False),
    ),
    # R470
    (
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.256.02  Thu May  2 14:37:44 UTC 2024\n",
        ("470.256.02", False),
    ),
    # an ARM server
    ("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  570.86.15  Release Build\n", ("570.86.15", True)),
    ("", (None, None)),
    ("something else\n", (None, None)),
]


@pytest.mark.parametrize(("text", "wanted"), VERSIONS)
def test_the_kernel_module_tells_version_and_flavour(text: str, wanted: tuple[str | None, bool | None]) -> None:
    assert kernel.module_version(text) == wanted


def test_no_module_is_no_version(tmp_path: Path) -> None:
    assert kernel.observe(tmp_path) == (None, None)
