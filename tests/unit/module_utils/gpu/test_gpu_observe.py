"""All GPUs of a host, each in a child."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

import pynvml
import pytest
from ansible.module_utils.groundwork.gpu import kernel, pci
from ansible.module_utils.groundwork.gpu.links import Paths, pairs
from ansible.module_utils.groundwork.gpu.model import Failure, Gpu, Mig, MigDevice, NvLink, Pair, Pci, PciDevice
from ansible.module_utils.groundwork.gpu.observe import complete, observe, resources

from tests.unit.module_utils.fakes import gpu_library, library, refuse

PLACES = ("0000:1b:00.0", "0000:43:00.0", "0000:52:00.0")


def device(bus_id: str, kind: Any = "gpu", numa_node: int | None = 0) -> PciDevice:
    return PciDevice(
        bus_id, kind, "2330", "16c1", "nvidia", numa_node, 16, 16, "32.0 GT/s PCIe", "32.0 GT/s PCIe", "0-15"
    )


@pytest.fixture
def sysfs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pci, "observe", lambda: (device("0000:1b:00.0", numa_node=1),))
    monkeypatch.setattr(kernel, "observe", lambda *_: ("580.126.09", True))


def indexed(**by_index: Any) -> Any:
    """NVML's handles, of which some do not come."""

    def handle(index: int) -> str:
        answer = by_index.get(f"gpu_{index}", f"handle {index}")
        return str(answer()) if callable(answer) else answer

    return handle


def hang() -> str:
    while True:
        signal.pause()


@pytest.mark.usefixtures("sysfs")
def test_a_host_is_one_picture() -> None:
    host = observe(5, gpu_library())
    assert host.nvml.available
    assert [gpu.uuid for gpu in host.gpus] == ["GPU-b31ec6c1-5963-5d81-87c0-d9172092cc75"]
    assert host.gpus[0].pci == Pci("0000:1b:00.0", "2330", "16c1", 1, 5, 5, 16, 16, 5, 0, "0-15")
    assert host.topology == ()
    assert host.driver.kernel_module_version == "580.126.09"


@pytest.mark.usefixtures("sysfs")
def test_the_return_shape_is_json_with_stable_keys() -> None:
    found = json.loads(json.dumps(observe(5, gpu_library()).to_dict()))
    assert set(found) == {"driver", "nvml", "gpus", "pci_devices", "topology", "resources"}
    assert set(found["driver"]) >= {"version", "cuda_version", "nvml_version", "kernel_module_version"}
    assert set(found["nvml"]) == {"available", "reason", "remedy"}
    assert set(found["gpus"][0]) >= {
        "index", "uuid", "name", "serial", "pci", "memory", "mig", "ecc", "temperature", "power", "clocks",
        "processes", "persistence_mode", "compute_mode", "error",
    }  # fmt: skip
    assert set(found["gpus"][0]["memory"]) >= {"total_mib", "used_mib", "free_mib"}
    assert set(found["gpus"][0]["mig"]) >= {"mode_current", "mode_pending", "devices"}


def test_resources_are_what_programs_can_use_by_the_device_plugins_names() -> None:
    def device(uuid: str, profile: str) -> MigDevice:
        return MigDevice(0, uuid, f"NVIDIA H100 MIG {profile}", profile, 7, 0, None)

    cut = Mig(
        "enabled", "enabled", (device("MIG-a", "1g.10gb"), device("MIG-b", "1g.10gb+me"), device("MIG-c", "1g.10gb"))
    )
    gpus = [
        Gpu(0, "GPU-a", mig=Mig("disabled", "enabled")),
        Gpu(1, "GPU-b", mig=cut),
        Gpu(2, "GPU-c", mig=Mig("enabled", "enabled")),
        Gpu(3, "GPU-d", mig=Mig()),
        Gpu(4, "GPU-e", error=Failure("GpuIsLost", "lost", "Reboot.")),
        Gpu(5, error=Failure("Timeout", "late", "Wait.")),
    ]
    assert resources(gpus) == {
        "nvidia.com/gpu": ["GPU-a", "GPU-d"],
        "nvidia.com/mig-1g.10gb": ["MIG-a", "MIG-c"],
        "nvidia.com/mig-1g.10gb.me": ["MIG-b"],
    }


@pytest.mark.usefixtures("sysfs")
def test_a_lost_and_a_hanging_gpu_hide_no_other() -> None:
    lost = refuse(pynvml.NVML_ERROR_GPU_IS_LOST)
    handles = indexed(gpu_1=lost, gpu_2=hang)
    start = time.monotonic()
    host = observe(1, gpu_library(DeviceGetCount=4, DeviceGetHandleByIndex=handles))
    assert [gpu.error.code if gpu.error else None for gpu in host.gpus] == [None, "GpuIsLost", "Timeout", None]
    assert [gpu.index for gpu in host.gpus] == [0, 1, 2, 3]
    assert host.topology == (Pair((0, 3), "NODE", 18),)
    assert time.monotonic() - start < 5


@pytest.mark.usefixtures("sysfs")
def test_a_gpu_whose_process_dies_is_told() -> None:
    host = observe(5, gpu_library(DeviceGetHandleByIndex=lambda _index: signal.raise_signal(signal.SIGKILL)))
    assert host.gpus[0].error is not None
    assert host.gpus[0].error.code == "Failed"


@pytest.mark.usefixtures("sysfs")
def test_without_a_driver_pci_and_kernel_still_tell() -> None:
    host = observe(5, library(Init=refuse(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)))
    assert (host.nvml.available, host.gpus) == (False, ())
    assert host.nvml.reason == "NVML Init: Driver Not Loaded"
    assert "modprobe" in str(host.nvml.remedy)
    assert [found.bus_id for found in host.pci_devices] == ["0000:1b:00.0"]
    assert host.driver.kernel_module_version == "580.126.09"
    assert host.driver.version is None


@pytest.mark.usefixtures("sysfs")
def test_a_driver_that_hangs_is_given_up() -> None:
    host = observe(0.2, library(Init=hang))
    assert not host.nvml.available
    assert host.nvml.reason == "No answer in time from the NVIDIA driver"


@pytest.mark.usefixtures("sysfs")
def test_a_host_may_have_a_driver_and_no_gpu() -> None:
    host = observe(5, gpu_library(DeviceGetCount=0))
    assert (host.nvml.available, host.gpus) == (True, ())


def linked(index: int, *links: NvLink) -> Gpu:
    return Gpu(index, pci=Pci(PLACES[index]), nvlinks=links)


def test_a_matrix_counts_direct_links_and_those_through_switches() -> None:
    switched = [NvLink(link, link != 3, remote_kind="switch" if link != 3 else None) for link in range(4)]
    direct = [
        NvLink(link, True, remote_kind="gpu", remote_bus_id=PLACES[1 - side]) for side in (0, 1) for link in (0, 1)
    ]
    paths: Paths = {(0, 1): "SYS"}
    assert pairs([linked(0, *switched), linked(1, *switched[:2])], paths) == (Pair((0, 1), "SYS", 2),)
    assert pairs([linked(0, *direct[:2]), linked(1, *direct[2:])], paths) == (Pair((0, 1), "SYS", 2),)
    assert pairs([linked(0), linked(1, *switched)], paths) == (Pair((0, 1), "SYS", 0),)


@pytest.mark.usefixtures("sysfs")
def test_the_matrix_is_of_every_two() -> None:
    levels = {("handle 0", "handle 1"): 10, ("handle 0", "handle 2"): 30, ("handle 1", "handle 2"): 50}
    fake = gpu_library(DeviceGetCount=3, DeviceGetTopologyCommonAncestor=lambda one, other: levels[one, other])
    assert [(pair.gpus, pair.path) for pair in observe(5, fake).topology] == [
        ((0, 1), "PIX"), ((0, 2), "PHB"), ((1, 2), "SYS"),
    ]  # fmt: skip


@pytest.mark.usefixtures("sysfs")
def test_a_gpu_that_is_lost_meanwhile_costs_the_matrix_alone() -> None:
    lost = refuse(pynvml.NVML_ERROR_GPU_IS_LOST)
    host = observe(5, gpu_library(DeviceGetCount=2, DeviceGetTopologyCommonAncestor=lost))
    assert (len(host.gpus), host.topology) == (2, ())


@pytest.mark.parametrize(
    ("told", "plugged", "places"),
    [
        (["0000:1b:00.0", None, "0000:52:00.0"], PLACES, ["0000:1b:00.0", "0000:43:00.0", "0000:52:00.0"]),
        ([None, None, "0000:52:00.0"], PLACES, [None, None, "0000:52:00.0"]),
        ([None, "0000:43:00.0"], PLACES, [None, "0000:43:00.0"]),
        (["0000:1b:00.0", None], PLACES[:1], ["0000:1b:00.0", None]),
        ([None], (), [None]),
    ],
)
def test_the_place_of_a_silent_gpu_is_told_where_it_is_certain(
    told: list[str | None], plugged: tuple[str, ...], places: list[str | None]
) -> None:
    gpus = [Gpu(index, pci=Pci(place) if place else None) for index, place in enumerate(told)]
    found = complete(gpus, map(device, plugged))
    assert [gpu.pci.bus_id if gpu.pci else None for gpu in found] == places


def test_a_gpu_that_the_kernel_no_longer_lists_keeps_its_place() -> None:
    (found,) = complete([Gpu(0, pci=Pci("0000:1b:00.0", "2330"))], [])
    assert found.pci == Pci("0000:1b:00.0", "2330")


def test_switches_are_no_gpus() -> None:
    (found,) = complete([Gpu(0)], [device("0000:05:00.0", "nvswitch")])
    assert found.pci is None
