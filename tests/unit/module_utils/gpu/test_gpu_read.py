"""One GPU, read through NVML."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
from ansible.module_utils.groundwork.gpu import read
from ansible.module_utils.groundwork.gpu.model import (
    Clocks,
    Driver,
    Ecc,
    Fabric,
    Gpu,
    Memory,
    Mig,
    MigDevice,
    NvLink,
    Pci,
    Power,
    Process,
    RetiredPages,
    Temperature,
    Utilization,
)
from ansible.module_utils.groundwork.gpu.nvml import Nvml

from tests.unit.module_utils.fakes import fabric, gpu_library, refuse

NOT_SUPPORTED = refuse(pynvml.NVML_ERROR_NOT_SUPPORTED)
LINKS_OF_NEWER_BINDINGS = tuple(NvLink(number, number == 1) for number in range(pynvml.NVML_NVLINK_MAX_LINKS))
PROC_VERSION = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.126.09  Release Build  (dvs-builder@U22)\n"


def read_gpu(proc: Path = Path("/nonexistent"), **functions: Any) -> Gpu:
    return read.gpu(Nvml(gpu_library(**functions)), 0, proc)


def test_a_healthy_gpu_tells_all() -> None:
    assert read_gpu() == Gpu(
        index=0,
        uuid="GPU-b31ec6c1-5963-5d81-87c0-d9172092cc75",
        name="NVIDIA H100 80GB HBM3",
        serial="1653520000000",
        minor_number=0,
        architecture="hopper",
        cuda_compute_capability="9.0",
        vbios_version="96.00.99.00.01",
        pci=Pci("0000:1b:00.0", "2330", "16c1", None, 5, 5, 16, 16),
        memory=Memory(81559, 0, 80979, 580),
        mig=Mig("disabled", "disabled", ()),
        ecc=Ecc("enabled", "enabled", 0, 0, 0, 0, 0, 0, False, False),
        retired_pages=RetiredPages(),
        nvlinks=tuple(NvLink(number, True) for number in range(18)),
        fabric=Fabric("completed", 0, ()),
        temperature=Temperature(31, 89, 94),
        power=Power(71.25, 700.0, 700.0, 200.0, 700.0),
        clocks=Clocks(345, 1980, 2619, 2619, 1),
        utilization=Utilization(7, 3),
        processes=(),
        performance_state=0,
        persistence_mode=True,
        compute_mode="default",
        error=None,
    )


def test_a_lost_gpu_has_its_index_and_the_error() -> None:
    gpu = read_gpu(DeviceGetHandleByIndex=refuse(pynvml.NVML_ERROR_GPU_IS_LOST))
    assert gpu.error is not None
    assert gpu == Gpu(0, error=gpu.error)
    assert (gpu.error.code, "reboot" in gpu.error.remedy) == ("GpuIsLost", True)


def test_one_refusal_hides_nothing_else() -> None:
    gpu = read_gpu(DeviceGetPowerUsage=refuse(pynvml.NVML_ERROR_UNKNOWN))
    assert gpu.power is None
    assert gpu.error is not None
    assert gpu.error.message.startswith("NVML DeviceGetPowerUsage")
    assert gpu.temperature == Temperature(31, 89, 94)
    assert gpu.uuid is not None


def test_the_first_of_several_refusals_is_the_error() -> None:
    lost = refuse(pynvml.NVML_ERROR_GPU_IS_LOST)
    gpu = read_gpu(DeviceGetMemoryInfo=lost, DeviceGetTemperature=lost, DeviceGetPowerUsage=lost)
    assert gpu.error is not None
    assert "DeviceGetMemoryInfo" in gpu.error.message


@pytest.mark.parametrize(
    ("functions", "field", "wanted"),
    [
        ({"DeviceGetSerial": NOT_SUPPORTED}, "serial", None),
        ({"DeviceGetArchitecture": 99}, "architecture", None),
        ({"DeviceGetArchitecture": 7}, "architecture", "ampere"),
        ({"DeviceGetArchitecture": 10}, "architecture", "blackwell"),
        ({"DeviceGetCudaComputeCapability": NOT_SUPPORTED}, "cuda_compute_capability", None),
        ({"DeviceGetMigMode": NOT_SUPPORTED}, "mig", Mig(None, None, ())),
        ({"DeviceGetMigMode": (0, 1)}, "mig", Mig("disabled", "enabled", ())),
        (
            {"DeviceGetEccMode": NOT_SUPPORTED, "DeviceGetTotalEccErrors": NOT_SUPPORTED},
            "ecc",
            Ecc(None, None, None, None, None, None, 0, 0, False, False),
        ),
        ({"DeviceGetRemappedRows": (1, 2, 1, 0)}, "ecc", Ecc("enabled", "enabled", 0, 0, 0, 0, 1, 2, True, False)),
        ({"DeviceGetRemappedRows": NOT_SUPPORTED}, "ecc", Ecc("enabled", "enabled", 0, 0, 0, 0)),
        (
            {
                "DeviceGetRetiredPages": lambda _handle, cause: [4096] * (cause + 1),
                "DeviceGetRetiredPagesPendingStatus": 1,
            },
            "retired_pages",
            RetiredPages(1, 2, True),
        ),
        ({"DeviceGetNvLinkState": NOT_SUPPORTED}, "nvlinks", None),
        ({"DeviceGetNvLinkState": lambda _handle, link: int(link == 1)}, "nvlinks", LINKS_OF_NEWER_BINDINGS),
        ({"DeviceGetGpuFabricInfoV": NOT_SUPPORTED}, "fabric", Fabric()),
        ({"DeviceGetGpuFabricInfoV": fabric(state=0)}, "fabric", Fabric()),
        ({"DeviceGetGpuFabricInfoV": fabric(state=2)}, "fabric", Fabric("in_progress", 0)),
        ({"DeviceGetGpuFabricInfoV": fabric(state=3, status=999)}, "fabric", Fabric("completed", 999)),
        # Bandwidth not degraded, and so on: 2 in every field of two bits, 1 ("none") for the configuration.
        ({"DeviceGetGpuFabricInfoV": fabric(state=3, healthMask=0x1AA)}, "fabric", Fabric("completed", 0)),
        (
            {"DeviceGetGpuFabricInfoV": fabric(state=3, healthMask=0x5A9)},
            "fabric",
            Fabric("completed", 0, ("degraded_bandwidth", "insufficient_nvlinks")),
        ),
        ({"DeviceGetPerformanceState": 8}, "performance_state", 8),
        ({"DeviceGetPerformanceState": 32}, "performance_state", None),
        ({"DeviceGetTemperatureThreshold": NOT_SUPPORTED}, "temperature", Temperature(31, None, None)),
        ({"DeviceGetPowerManagementLimitConstraints": NOT_SUPPORTED}, "power", Power(71.25, 700.0, 700.0, None, None)),
        ({"DeviceGetUtilizationRates": NOT_SUPPORTED}, "utilization", Utilization(None, None)),
        ({"DeviceGetPersistenceMode": 0}, "persistence_mode", False),
        ({"DeviceGetPersistenceMode": NOT_SUPPORTED}, "persistence_mode", None),
        ({"DeviceGetComputeMode": 3}, "compute_mode", "exclusive_process"),
        ({"DeviceGetComputeMode": 2}, "compute_mode", "prohibited"),
        ({"DeviceGetPciInfo_v3": NOT_SUPPORTED}, "pci", None),
        ({"DeviceGetMemoryInfo": NOT_SUPPORTED}, "memory", None),
    ],
)
def test_what_a_gpu_does_not_have_is_none_and_no_error(functions: dict[str, Any], field: str, wanted: object) -> None:
    gpu = read_gpu(**functions)
    assert (getattr(gpu, field), gpu.error) == (wanted, None)


def test_an_old_driver_counts_its_own_memory_as_used() -> None:
    def memory(_handle: object, version: int | None = None) -> SimpleNamespace:
        if version is not None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        return SimpleNamespace(total=16384 << 20, used=300 << 20, free=16084 << 20)

    assert read_gpu(DeviceGetMemoryInfo=memory).memory == Memory(16384, 300, 16084, None)


def test_the_bus_id_may_be_bytes() -> None:
    info = SimpleNamespace(busId=b"00000001:C3:00.0", pciDeviceId=0x20B210DE, pciSubSystemId=0x145310DE)
    gpu = read_gpu(DeviceGetPciInfo_v3=info)
    assert gpu.pci is not None
    assert (gpu.pci.bus_id, gpu.pci.device_id, gpu.pci.subsystem_id) == ("0001:c3:00.0", "20b2", "1453")


def mig(**functions: Any) -> dict[str, Any]:
    """An H100 in MIG mode with two devices in seven places."""

    def device(_handle: object, index: int) -> str:
        if index in (0, 3):
            return f"mig {index}"
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)

    def name(handle: str) -> str:
        return "NVIDIA H100 80GB HBM3" + {"mig 0": " MIG 3g.40gb", "mig 3": " MIG 1c.3g.40gb"}.get(handle, "")

    def memory(handle: str, version: int | None = None) -> SimpleNamespace:
        size = 40448 if handle.startswith("mig") else 81559
        reserved = {"reserved": 0} if version else {}
        return SimpleNamespace(total=size << 20, used=0, free=size << 20, **reserved)

    return {
        "DeviceGetMigMode": (1, 1),
        "DeviceGetMaxMigDeviceCount": 7,
        "DeviceGetMigDeviceHandleByIndex": device,
        "DeviceGetName": name,
        "DeviceGetUUID": lambda handle: f"{'MIG' if handle.startswith('mig') else 'GPU'}-of-{handle[-1]}",
        "DeviceGetGpuInstanceId": lambda handle: {"mig 0": 1, "mig 3": 2}[handle],
        "DeviceGetComputeInstanceId": 0,
        "DeviceGetMemoryInfo": memory,
        **functions,
    }


def test_mig_devices_are_those_places_that_are_taken() -> None:
    assert read_gpu(**mig()).mig == Mig(
        "enabled",
        "enabled",
        (
            MigDevice(0, "MIG-of-0", "NVIDIA H100 80GB HBM3 MIG 3g.40gb", "3g.40gb", 1, 0, Memory(40448, 0, 40448, 0)),
            MigDevice(
                3, "MIG-of-3", "NVIDIA H100 80GB HBM3 MIG 1c.3g.40gb", "1c.3g.40gb", 2, 0, Memory(40448, 0, 40448, 0)
            ),
        ),
    )


def test_a_gpu_lost_while_its_mig_devices_are_read_is_an_error() -> None:
    gpu = read_gpu(**mig(DeviceGetMigDeviceHandleByIndex=refuse(pynvml.NVML_ERROR_GPU_IS_LOST)))
    assert gpu.mig is None
    assert gpu.error is not None
    assert gpu.error.code == "GpuIsLost"


def test_processes_have_names_where_the_host_knows_them(tmp_path: Path) -> None:
    (tmp_path / "4711").mkdir()
    (tmp_path / "4711/comm").write_text("python3\n")
    unavailable = 0xFFFFFFFFFFFFFFFF
    none = 0xFFFFFFFF
    found = [
        SimpleNamespace(pid=4711, usedGpuMemory=512 << 20, gpuInstanceId=none, computeInstanceId=none),
        SimpleNamespace(pid=4712, usedGpuMemory=unavailable, gpuInstanceId=13, computeInstanceId=0),
    ]
    old = [SimpleNamespace(pid=4713, usedGpuMemory=None)]
    gpu = read_gpu(tmp_path, DeviceGetComputeRunningProcesses=found, DeviceGetGraphicsRunningProcesses=old)
    assert gpu.processes == (
        Process(4711, "compute", "python3", 512, None, None),
        Process(4712, "compute", None, None, 13, 0),
        Process(4713, "graphics", None, None, None, None),
    )


def test_the_driver_tells_versions_of_library_and_kernel_module(tmp_path: Path) -> None:
    (tmp_path / "driver/nvidia").mkdir(parents=True)
    (tmp_path / "driver/nvidia/version").write_text(PROC_VERSION)
    found = read.driver(Nvml(gpu_library()), tmp_path)
    assert found == Driver("580.126.09", "13.0", "13.580.126.09", "580.126.09", True)


@pytest.mark.parametrize(("number", "text"), [(12020, "12.2"), (13000, "13.0"), (11080, "11.8"), (0, None)])
def test_cuda_is_packed_into_one_number(number: int, text: str | None, tmp_path: Path) -> None:
    assert read.driver(Nvml(gpu_library(SystemGetCudaDriverVersion_v2=number)), tmp_path).cuda_version == text


def test_gpus_are_counted() -> None:
    assert read.count(Nvml(gpu_library(DeviceGetCount=8))) == 8
