"""What breaks in the double of NVML, and what each model of GPU answers: one test a fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab import packages
from lab.doubles.nvidia import hardware
from tests.contract.doubles.nvidia_host import Host, needs_compiler, needs_root

pytestmark = needs_compiler
Plug = Callable[..., Host]


def ask(host: Host, *lines: str) -> Any:
    return host.ask("\n".join(("nvmlInit(); d = nvmlDeviceGetHandleByIndex(0)", *lines)))


# ---- models: as published outputs of nvidia-smi -q and mig -lgip show them ----
MODEL = """
info = nvmlDeviceGetMemoryInfo(d, version=nvmlMemory_v2); pci = nvmlDeviceGetPciInfo(d)
show([nvmlDeviceGetName(d), f"{pci.pciDeviceId:08x}", info.total >> 20, nvmlDeviceGetCudaComputeCapability(d)[0],
      nvmlDeviceGetMaxPcieLinkGeneration(d), nvmlDeviceGetArchitecture(d)])
"""
MODELS = [
    ("A100-40GB", ["NVIDIA A100-SXM4-40GB", "20b010de", 40960, 8, 4, 7]),
    ("A100-80GB", ["NVIDIA A100-SXM4-80GB", "20b210de", 81920, 8, 4, 7]),
    ("H100-80GB", ["NVIDIA H100 80GB HBM3", "233010de", 81559, 9, 5, 9]),
    ("H200-141GB", ["NVIDIA H200", "233510de", 143771, 9, 5, 9]),
    ("B200", ["NVIDIA B200", "290110de", 183359, 10, 5, 10]),
    ("L40S", ["NVIDIA L40S", "26b910de", 46068, 8, 4, 8]),
    ("T4", ["Tesla T4", "1eb810de", 15360, 7, 3, 6]),
]


@pytest.mark.parametrize(("model", "wanted"), MODELS, ids=[model for model, _ in MODELS])
def test_models(plugged: Plug, model: str, wanted: list[Any]) -> None:
    assert ask(plugged(model), MODEL) == wanted


PROFILES = """
nvmlDeviceSetMigMode(d, 1)
def profile(index):
    info = nvmlDeviceGetGpuInstanceProfileInfo(d, index)
    places = (c_nvmlGpuInstancePlacement_t * 16)(); count = ctypes.c_uint(16)
    nvmlDeviceGetGpuInstancePossiblePlacements(d, info.id, places, ctypes.byref(count))
    starts = "".join(str(place.start) for place in places[:count.value])
    return [info.id, info.name, info.instanceCount, info.multiprocessorCount, info.memorySizeMB / 1024,
            f"{starts}:{places[0].size}"]
show([profile(index) for index in range(NVML_GPU_INSTANCE_PROFILE_COUNT)
      if not isinstance(attempt(nvmlDeviceGetGpuInstanceProfileInfo, d, index), str)])
"""
# profile, count, SMs and GiB: A100-40 as `nvidia-smi mig -lgip` of R525, H200 as mig-parted issue 120, B200 as
# gpu-operator pull 1242 (its first four profiles; what was not read is None); placements: `-lgipp`, the same for all
PLACES = {19: "0123456:1", 20: "0123456:1", 15: "0246:2", 14: "024:2", 9: "04:4", 5: "0:4", 0: "0:8"}
TABLES: dict[str, list[tuple[Any, ...]]] = {
    "A100-40GB": [
        (19, "1g.5gb", 7, 14, 4.75), (14, "2g.10gb", 3, 28, 9.625), (9, "3g.20gb", 2, 42, 19.5),
        (5, "4g.20gb", 1, 56, 19.5), (0, "7g.40gb", 1, 98, 39.25), (20, "1g.5gb+me", 1, 14, 4.75),
        (15, "1g.10gb", 4, 14, 9.625),
    ],
    "H200-141GB": [
        (19, "1g.18gb", 7, 16, 16), (14, "2g.35gb", 3, 32, 32.25), (9, "3g.71gb", 2, 60, 69.5),
        (5, "4g.71gb", 1, 64, 69.5), (0, "7g.141gb", 1, 132, 140), (20, "1g.18gb+me", 1, 16, 16),
        (15, "1g.35gb", 4, 26, 32.25),
    ],
    "B200": [
        (19, "1g.23gb", 7, 18, 22), (14, "2g.45gb", 3, 36, 44.25), (9, "3g.90gb", 2, None, None),
        (5, "4g.90gb", 1, None, None), (0, "7g.180gb", 1, 148, None), (20, "1g.23gb+me", 1, 18, 22),
        (15, "1g.45gb", 4, 30, 44.25),
    ],
}  # fmt: skip


@needs_root
@pytest.mark.parametrize("model", TABLES)
def test_profiles_are_the_vendors(plugged: Plug, model: str) -> None:
    found = {line[0]: line for line in ask(plugged(model), PROFILES)}
    assert set(found) == set(PLACES)
    for number, name, count, multiprocessors, gib in TABLES[model]:
        wanted = [number, f"MIG {name}", count, multiprocessors, gib, PLACES[number]]
        assert [got if want is None else want for got, want in zip(found[number], wanted, strict=True)] == found[number]


@pytest.mark.parametrize("model", ["L40S", "T4"])
def test_a_card_without_mig_says_so(plugged: Plug, model: str) -> None:
    program = "show([attempt(nvmlDeviceGetMigMode, d), nvmlDeviceGetMaxMigDeviceCount(d)])"
    assert ask(plugged(model), program) == ["NotSupported", 0]


# ---- faults ----
ANSWERS: dict[str, tuple[Callable[[Host], object], str, Any, Any]] = {
    "ECC": (
        lambda host: hardware.corrupt(host.etc, 0, 3),
        "[nvmlDeviceGetTotalEccErrors(d, NVML_MEMORY_ERROR_TYPE_UNCORRECTED, kind) for kind in (0, 1)]",
        [0, 0],
        [3, 3],
    ),
    "remap pending": (
        lambda host: hardware.remap(host.etc, 0, "pending"),
        "nvmlDeviceGetRemappedRows(d)",
        [0, 0, 0, 0],
        [0, 1, 1, 0],
    ),
    "remap failed": (
        lambda host: hardware.remap(host.etc, 0, "failed"),
        "[*nvmlDeviceGetRemappedRows(d), nvmlDeviceGetRowRemapperHistogram(d).none]",
        [0, 0, 0, 0, 0],
        [0, 1, 0, 1, 1],
    ),
    "throttling": (
        lambda host: hardware.throttle(host.etc, 0, "hw_thermal_slowdown"),
        "nvmlDeviceGetCurrentClocksEventReasons(d)",
        1,
        0x40,
    ),
    "NVLink": (
        lambda host: hardware.put(host.etc, 0, links_down="3,11"),
        "[link for link in range(18) if not nvmlDeviceGetNvLinkState(d, link)]",
        [],
        [3, 11],
    ),
    "PCIe": (
        lambda host: hardware.narrow(host.etc, 0, 3, 8),
        "[nvmlDeviceGetCurrPcieLinkGeneration(d), nvmlDeviceGetCurrPcieLinkWidth(d), nvmlDeviceGetPcieSpeed(d)]",
        [5, 16, 32000],
        [3, 8, 8000],
    ),
    "a slot": (
        lambda host: hardware.put(host.etc, 0, link_gen_max=4, link_width_max=8),
        "[nvmlDeviceGetGpuMaxPcieLinkGeneration(d), nvmlDeviceGetMaxPcieLinkGeneration(d), "
        "nvmlDeviceGetMaxPcieLinkWidth(d), nvmlDeviceGetCurrPcieLinkGeneration(d), nvmlDeviceGetCurrPcieLinkWidth(d)]",
        [5, 5, 16, 5, 16],
        [5, 4, 8, 4, 8],
    ),
    "fabric": (
        lambda host: hardware.fabric(host.etc, "in_progress"),
        "[fabric().state, fabric().status]",
        [3, 0],
        [2, 0],
    ),
    "fabric's status": (
        lambda host: hardware.put(host.etc, 0, fabric_status=999, fabric_health=1),
        "[fabric().state, fabric().status, fabric().healthMask]",
        [3, 0, 0],
        [3, 999, 1],
    ),
    "memory": (
        lambda host: hardware.put(host.etc, 0, mem_total_mib=40960),
        "nvmlDeviceGetMemoryInfo(d).total >> 20",
        81559,
        40960,
    ),
    "product": (
        lambda host: hardware.replace(host.etc, 0, "L40S"),
        "nvmlDeviceGetName(d)",
        "NVIDIA H100 80GB HBM3",
        "NVIDIA L40S",
    ),
    "count": (lambda host: hardware.unplug(host.etc, 0), "nvmlDeviceGetCount()", 2, 1),
    "GSP": (
        lambda host: hardware.put(host.etc, 0, gsp=0),
        "[nvmlDeviceGetGspFirmwareMode(d), str(attempt(nvmlDeviceGetGspFirmwareVersion, d))]",
        [[1, 1], str(packages.driver_versions()[0].encode())],
        [[0, 1], "NotSupported"],
    ),
    "topology": (
        lambda host: hardware.put(host.etc, 0, topology="1:20"),
        "nvmlDeviceGetTopologyCommonAncestor(d, nvmlDeviceGetHandleByIndex(1))",
        40,
        20,
    ),
}  # fmt: skip
FABRIC = """
def fabric():
    info = c_nvmlGpuFabricInfo_v3_t(); info.version = nvmlGpuFabricInfo_v3
    nvmlDeviceGetGpuFabricInfoV(d, ctypes.byref(info)); return info
"""


@pytest.mark.parametrize("fault", ANSWERS)
def test_faults(host: Host, fault: str) -> None:
    provoke, expression, healthy, broken = ANSWERS[fault]
    program = f"nvmlInit(); d = nvmlDeviceGetHandleByIndex(0)\n{FABRIC}\nshow({expression})"
    assert host.ask(program) == healthy
    provoke(host)
    assert host.ask(program) == broken
    hardware.clear(host.etc)
    assert host.ask(program) == healthy


def test_an_unknown_error_hits_one_gpu(host: Host) -> None:
    hardware.put(host.etc, 0, fault="unknown")
    assert host.ask("nvmlInit(); show([attempt(nvmlDeviceGetHandleByIndex, 0)])") == ["Unknown"]
    assert host.ask("nvmlInit(); show(nvmlDeviceGetTemperature(nvmlDeviceGetHandleByIndex(1), 0))") == 31


def test_retired_pages_are_told_by_cause_and_only_before_ampere(plugged: Plug) -> None:
    host = plugged("T4")
    hardware.put(host.etc, 0, retired_sbe=1)
    hardware.retire(host.etc, 0, 2)
    program = """
show([len(nvmlDeviceGetRetiredPages(d, cause)) for cause in (0, 1)] + [nvmlDeviceGetRetiredPagesPendingStatus(d),
     attempt(nvmlDeviceGetRemappedRows, d)])
"""
    assert ask(host, program) == [1, 2, 1, "NotSupported"]
    program = "show([attempt(nvmlDeviceGetRetiredPages, d, 1), attempt(nvmlDeviceGetRetiredPagesPendingStatus, d)])"
    assert ask(plugged("H100-80GB"), program) == ["NotSupported", "NotSupported"]


def test_temperature_limits_are_distances_from_ada_on(plugged: Plug) -> None:
    program = """
kinds = (NVML_TEMPERATURE_THRESHOLD_SHUTDOWN, NVML_TEMPERATURE_THRESHOLD_SLOWDOWN, NVML_TEMPERATURE_THRESHOLD_GPU_MAX)
fields = nvmlDeviceGetFieldValues(d, [193, 194, 196])
show([[attempt(nvmlDeviceGetTemperatureThreshold, d, kind) for kind in kinds],
      [one.value.siVal if one.nvmlReturn == 0 else None for one in fields]])
"""
    assert ask(plugged("A100-40GB"), program) == [[92, 89, 85], [None] * 3]
    assert ask(plugged("H200-141GB"), program) == [["NotSupported"] * 3, [-8, -2, 0]]  # as its nvidia-smi -q says


@needs_root
def test_in_mig_mode_no_link_is_active(host: Host) -> None:
    program = "nvmlDeviceSetMigMode(d, 1); show([nvmlDeviceGetNvLinkState(d, link) for link in range(18)])"
    assert ask(host, program) == [0] * 18


def test_links_lead_to_switches_and_end_with_the_model(host: Host) -> None:
    program = """
speed = nvmlDeviceGetFieldValues(d, [(NVML_FI_DEV_NVLINK_GET_SPEED, 17)])[0]
show([nvmlDeviceGetNvLinkRemoteDeviceType(d, 0), nvmlDeviceGetNvLinkVersion(d, 0),
      attempt(nvmlDeviceGetNvLinkState, d, 18), speed.value.uiVal])
"""
    assert ask(host, program) == [2, 4, "InvalidArgument", 26562]


CUDA = """
cuda = ctypes.CDLL("libcuda.so.1")
show([cuda.cuInit(0), cuda.cuInit(0)])
"""


def test_switches_need_a_fabric_manager(plugged: Plug) -> None:
    host = plugged("H100-80GB", 8, 4)
    program = f"{FABRIC}\nshow(fabric().state)"
    assert (ask(host, program), host.ask(CUDA)) == (2, [802, 802])
    hardware.put_host(host.etc, fabric_manager="580.126.09")
    assert (ask(host, program), host.ask(CUDA)) == (3, [0, 0])


def test_a_module_of_another_version_refuses_library_and_cuda(host: Host) -> None:
    hardware.claim(host.etc, "580.95.05")
    assert host.ask("show(attempt(nvmlInit))") == "LibRmVersionMismatch"
    assert host.ask(CUDA) == [803, 803]
    hardware.clear(host.etc)
    assert host.ask("show(attempt(nvmlInit))") is None


def test_processes_are_told_by_kind_and_instance(host: Host) -> None:
    hardware.occupy(host.etc, 0, 4711, "python3", 512, instance=9)
    hardware.occupy(host.etc, 0, 4712, "Xorg", 16)
    with hardware.change(host.etc) as ini:
        ini["gpu.0.proc.1"]["type"] = "G"
    program = """
def told(found): return [[one.pid, one.usedGpuMemory >> 20, one.gpuInstanceId, one.computeInstanceId] for one in found]
show([told(nvmlDeviceGetComputeRunningProcesses(d)), told(nvmlDeviceGetGraphicsRunningProcesses(d)),
      nvmlSystemGetProcessName(4711)])
"""
    none = 0xFFFFFFFF
    assert ask(host, program) == [[[4711, 512, 9, 0]], [[4712, 16, none, none]], "python3"]


def test_nvidia_smi_shows_links_and_topology(host: Host) -> None:
    hardware.put(host.etc, 0, links_down="3")
    matrix = [line.split("\t") for line in host.smi("topo", "-m")[1].splitlines()]
    assert matrix == [["", "GPU0", "GPU1"], ["GPU0", " X ", "NV17"], ["GPU1", "NV17", " X "]]
    links = host.smi("nvlink", "-s", "-i", "0")[1].splitlines()
    assert (len(links), links[1].strip(), links[4].strip()) == (19, "Link 0: 26.562 GB/s", "Link 3: <inactive>")
