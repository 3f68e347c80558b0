"""The driver's list of GPUs, and the device nodes that belong to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.gpu.verify import nodes
from ansible.module_utils.groundwork.gpu.verify.nodes import Card, Node, Place

# As an R580 driver writes it.
INFORMATION = """\
Model: \t\t NVIDIA H100 80GB HBM3
IRQ:   \t\t 64
GPU UUID: \t {uuid}
Video BIOS: \t 96.00.99.00.01
Bus Type: \t PCIe
Device Minor: \t {minor}
GPU Firmware: \t 580.126.09
GPU Excluded:\t No
"""
PARAMS = "ModifyDeviceFiles: {modify}\nDeviceFileUID: 0\nDeviceFileGID: 0\nDeviceFileMode: 438\n"
CAPABILITY = "DeviceFileMinor: {minor}\nDeviceFileMode: 292\nDeviceFileModify: 1\n"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    own = tmp_path / "proc/driver/nvidia"
    write(own / "version", "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.126.09  Release Build\n")
    write(own / "params", PARAMS.format(modify=1))
    for minor, place in enumerate(("0000:1b:00.0", "0000:43:00.0")):
        write(own / f"gpus/{place}/information", INFORMATION.format(uuid=f"GPU-{minor}", minor=minor))
        (own / f"capabilities/gpu{minor}/mig").mkdir(parents=True)
    return tmp_path / "proc"


def faults(proc: Path, dev: Path) -> list[str]:
    found = nodes.observe(proc, dev)
    assert found is not None
    return [place.fault.replace(f"{dev}/", "") for place in found.places if place.fault]


def test_without_a_driver_there_is_nothing_to_find(tmp_path: Path) -> None:
    assert nodes.observe(tmp_path, tmp_path) is None


def test_the_drivers_list_is_in_the_order_of_bus_ids(proc: Path, tmp_path: Path) -> None:
    found = nodes.observe(proc, tmp_path)
    assert found is not None
    assert found.cards == (Card("0000:1b:00.0", "GPU-0", 0), Card("0000:43:00.0", "GPU-1", 1))


def test_missing_nodes_are_named(proc: Path, tmp_path: Path) -> None:
    wanted = ["nvidiactl", "nvidia-uvm", "nvidia0", "nvidia1"]
    assert faults(proc, tmp_path / "dev") == [f"{name} is missing" for name in wanted]


def test_a_file_is_no_device(proc: Path, tmp_path: Path) -> None:
    write(tmp_path / "dev/nvidia1", "")
    assert "nvidia1 is no character device" in faults(proc, tmp_path / "dev")


def test_mig_devices_need_their_own_nodes(proc: Path, tmp_path: Path) -> None:
    capabilities = proc / "driver/nvidia/capabilities/gpu1/mig"
    write(capabilities / "gi13/access", CAPABILITY.format(minor=255))
    write(capabilities / "gi13/ci0/access", CAPABILITY.format(minor=256))
    found = faults(proc, tmp_path / "dev")
    assert found[-2:] == ["nvidia-caps/nvidia-cap255 is missing", "nvidia-caps/nvidia-cap256 is missing"]


def test_nodes_that_somebody_else_sees_to_may_have_any_mode(proc: Path, tmp_path: Path) -> None:
    (proc / "driver/nvidia/params").write_text(PARAMS.format(modify=0))
    found = nodes.observe(proc, tmp_path)
    assert found is not None
    assert {place.wanted.mode for place in found.places} == {None}


def test_a_driver_that_lists_no_params_or_gpus_is_judged_by_the_rest(proc: Path, tmp_path: Path) -> None:
    (proc / "driver/nvidia/params").unlink()
    (proc / "driver/nvidia/gpus/0000:1b:00.0/information").write_text("torn")
    found = nodes.observe(proc, tmp_path)
    assert found is not None
    assert found.cards[0] == Card("0000:1b:00.0", None, None)
    assert [Path(place.path).name for place in found.places] == ["nvidiactl", "nvidia-uvm", "nvidia1"]


CONTROL = Node(195, 255, 0o666)


@pytest.mark.parametrize(
    ("wanted", "found", "fault"),
    [
        (CONTROL, CONTROL, None),
        (CONTROL, None, "/dev/x is missing"),
        (CONTROL, "no character device", "/dev/x is no character device"),
        (CONTROL, Node(195, 0, 0o666), "/dev/x is device 195:0, not 195:255"),
        (CONTROL, Node(1, 255, 0o666), "/dev/x is device 1:255, not 195:255"),
        (CONTROL, Node(195, 255, 0o600), "/dev/x has mode 0600, not 0666"),
        (Node(195, 255), Node(195, 255, 0o600), None),
        (Node(mode=0o666), Node(508, 0, 0o666), None),
        (Node(None, 7, 0o444), Node(511, 7, 0o444), None),
        (Node(None, 7, 0o444), Node(511, 8, 0o444), "/dev/x is device 511:8, not 511:7"),
    ],
)
def test_a_node_is_what_the_driver_wants(wanted: Node, found: Node | str | None, fault: str | None) -> None:
    assert Place("/dev/x", wanted, found).fault == fault


def test_a_real_device_is_read_as_it_is() -> None:
    null = Path("/dev/null").stat()
    assert nodes._find(Path("/dev/null")) == Node(os.major(null.st_rdev), os.minor(null.st_rdev), null.st_mode & 0o7777)
