"""One GPU, read through NVML."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
from ansible.module_utils.groundwork.gpu import read, sensors
from ansible.module_utils.groundwork.gpu.model import (
    Board,
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
    RemapAvailability,
    RetiredPages,
    Temperature,
    Utilization,
)
from ansible.module_utils.groundwork.gpu.nvml import Nvml

from tests.unit.module_utils.fakes import NOT_SUPPORTED, fabric_info, field_values, gpu_library, refuse

BANKS = RemapAvailability(2560, 0, 0, 0, 0)
HEALTHY = Ecc("enabled", "enabled", 0, 0, 0, 0, 0, 0, False, False, BANKS, None, 0, 0, 0, 0)
MODES_AND_SUMS = ["mode_current", "mode_pending", "corrected_volatile", "uncorrected_volatile"]
MODES_AND_SUMS += ["corrected_aggregate", "uncorrected_aggregate"]
WARM = Temperature(31, None, None, None, 25, None, 56, -2, -8, 0, 0)
T4 = {
    "DeviceGetRemappedRows": NOT_SUPPORTED,
    "DeviceGetRowRemapperHistogram": NOT_SUPPORTED,
    "DeviceGetRetiredPages": lambda _handle, cause: {0: [1, 2], 1: [3]}[cause],
    "DeviceGetRetiredPagesPendingStatus": 1,
}
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
        pci=Pci("0000:1b:00.0", "2330", "16c1", None, 5, 5, 16, 16, 5, 0),
        memory=Memory(81559, 0, 80979, 580),
        mig=Mig("disabled", "disabled", ()),
        ecc=HEALTHY,
        temperature=WARM,
        power=Power(71.25, 700.0, 700.0, 200.0, 700.0, 700.0),
        clocks=Clocks(345, 1980, 2619, 2619, 1, ("gpu_idle",), 345, 1980, 765),
        utilization=Utilization(7, 3, 0, 0),
        processes=(),
        persistence_mode=True,
        compute_mode="default",
        error=None,
        performance_state="P0",
        virtualization_mode="none",
        gsp_firmware_version="580.126.09",
        recovery_action="none",
        board=Board("0x1b00", "692-2G520-0200-000", 3, "G520.0200.00.05"),
        bar1=Memory(131072, 1, 131071),
        nvlinks=tuple(NvLink(index, True, 4, 26562, "switch", "0000:05:00.0") for index in range(18)),
        fabric=Fabric("completed", "Success", 0, "00000000-0000-0000-0000-000000000000", 0),
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
    assert gpu.temperature == WARM
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
            replace(HEALTHY, **dict.fromkeys(MODES_AND_SUMS)),
        ),
        (
            {"DeviceGetRemappedRows": (1, 2, 1, 0)},
            "ecc",
            replace(
                HEALTHY,
                remapped_rows_corrected=1,
                remapped_rows_uncorrected=2,
                remapping_pending=True,
                remapping_failed=False,
            ),
        ),
        (
            T4,
            "ecc",
            Ecc("enabled", "enabled", 0, 0, 0, 0, None, None, None, None, None, RetiredPages(2, 1, True), 0, 0, 0, 0),
        ),
        (
            {"DeviceGetPowerManagementLimitConstraints": NOT_SUPPORTED},
            "power",
            Power(71.25, 700.0, 700.0, None, None, 700.0),
        ),
        ({"DeviceGetUtilizationRates": NOT_SUPPORTED}, "utilization", Utilization(None, None)),
        ({"DeviceGetPersistenceMode": 0}, "persistence_mode", False),
        ({"DeviceGetPersistenceMode": NOT_SUPPORTED}, "persistence_mode", None),
        ({"DeviceGetComputeMode": 3}, "compute_mode", "exclusive_process"),
        ({"DeviceGetComputeMode": 2}, "compute_mode", "prohibited"),
        ({"DeviceGetPciInfo_v3": NOT_SUPPORTED}, "pci", None),
        ({"DeviceGetMemoryInfo": NOT_SUPPORTED}, "memory", None),
        ({"DeviceGetGspFirmwareVersion": NOT_SUPPORTED}, "gsp_firmware_version", None),
        ({"DeviceGetPerformanceState": 32}, "performance_state", None),
        ({"DeviceGetVirtualizationMode": 1}, "virtualization_mode", "passthrough"),
        ({"DeviceGetFieldValues": field_values({230: 2})}, "recovery_action", "reboot"),
        ({"DeviceGetBAR1MemoryInfo": NOT_SUPPORTED}, "bar1", None),
        ({"DeviceGetNvLinkState": NOT_SUPPORTED}, "nvlinks", ()),
        ({"DeviceGetGpuFabricInfoV": NOT_SUPPORTED}, "fabric", None),
    ],
)
def test_what_a_gpu_does_not_have_is_none_and_no_error(functions: dict[str, Any], field: str, wanted: object) -> None:
    gpu = read_gpu(**functions)
    assert (getattr(gpu, field), gpu.error) == (wanted, None)


@pytest.mark.parametrize(
    "code",
    ["NO_PERMISSION", "INVALID_ARGUMENT", "NOT_FOUND", "ARGUMENT_VERSION_MISMATCH", "NO_DATA", "NOT_SUPPORTED"],
)
def test_a_question_that_is_refused_makes_no_gpu_ill(code: str) -> None:
    no = refuse(getattr(pynvml, f"NVML_ERROR_{code}"))
    functions = ("FieldValues", "BoardId", "RowRemapperHistogram", "GpuFabricInfoV", "NvLinkState", "MarginTemperature")
    refused: dict[str, Any] = {f"DeviceGet{name}": no for name in functions}
    gpu = read_gpu(**refused)
    assert (gpu.error, gpu.nvlinks, gpu.fabric) == (None, (), None)


def test_a_gpu_lost_in_the_middle_is_an_error_whatever_was_asked() -> None:
    gpu = read_gpu(DeviceGetNvLinkState=refuse(pynvml.NVML_ERROR_GPU_IS_LOST))
    assert gpu.error is not None
    assert (gpu.error.code, gpu.nvlinks) == ("GpuIsLost", None)


def test_limits_before_ada_are_temperatures() -> None:
    a100: dict[str, Any] = {
        "DeviceGetTemperature": 22,
        "DeviceGetTemperatureThreshold": lambda _handle, kind: {0: 92, 1: 89, 2: 95, 3: 85}[kind],
        "DeviceGetMarginTemperature": NOT_SUPPORTED,
        "DeviceGetFieldValues": field_values({82: 40}),
    }  # as nvidia-smi -q of an A100-SXM4-40GB says
    assert read_gpu(**a100).temperature == Temperature(22, 89, 92, 85, 40, 95)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (0, ()),
        (0x1, ("gpu_idle",)),
        (0x44, ("sw_power_cap", "hw_thermal_slowdown")),
        (0x1FE, tuple(list(sensors.REASONS.values())[1:])),
        (0x402, ("applications_clocks_setting", "0x400")),
        (None, None),
    ],
)
def test_what_holds_clocks_back_has_nvidia_smis_names(mask: int | None, words: tuple[str, ...] | None) -> None:
    assert sensors.reasons(mask) == words


def test_nvlinks_that_are_down_lead_nowhere() -> None:
    gpu = read_gpu(DeviceGetNvLinkState=lambda _handle, link: [1, 0, 1][link] if link < 3 else NOT_SUPPORTED())
    assert gpu.nvlinks == (
        NvLink(0, True, 4, 26562, "switch", "0000:05:00.0"),
        NvLink(1, False, 4),
        NvLink(2, True, 4, 26562, "switch", "0000:05:00.0"),
    )


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"state": 2}, ("in_progress", "Success", 0)),
        ({"state": 3, "status": pynvml.NVML_ERROR_INSUFFICIENT_RESOURCES}, ("completed", "InsufficientResources", 0)),
        ({"state": 1, "health": 5}, ("not_started", "Success", 5)),
    ],
)
def test_the_fabric(told: dict[str, int], wanted: tuple[str, str, int]) -> None:
    found = read_gpu(DeviceGetGpuFabricInfoV=fabric_info(**told)).fabric
    assert found is not None
    assert (found.state, found.status, found.health_mask) == wanted


def test_an_older_driver_knows_the_older_structure_of_the_fabric() -> None:
    def info(_handle: object, structure: Any) -> int:
        if isinstance(structure._obj, pynvml.c_nvmlGpuFabricInfo_v3_t):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH)
        return fabric_info(state=3, clique=7)(_handle, structure)

    found = read_gpu(DeviceGetGpuFabricInfoV=info).fabric
    assert found is not None
    assert found.clique_id == 7


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
        "DeviceGetGpuInstanceById": lambda _handle, number: number,
        "GpuInstanceGetInfo": lambda number: SimpleNamespace(placement=SimpleNamespace(start=number * 4 - 4, size=4)),
        "DeviceGetMemoryInfo": memory,
        **functions,
    }


def test_mig_devices_are_those_places_that_are_taken() -> None:
    assert read_gpu(**mig()).mig == Mig(
        "enabled",
        "enabled",
        (
            MigDevice(
                0, "MIG-of-0", "NVIDIA H100 80GB HBM3 MIG 3g.40gb", "3g.40gb", 1, 0, Memory(40448, 0, 40448, 0), "0:4"
            ),
            MigDevice(
                3,
                "MIG-of-3",
                "NVIDIA H100 80GB HBM3 MIG 1c.3g.40gb",
                "1c.3g.40gb",
                2,
                0,
                Memory(40448, 0, 40448, 0),
                "4:4",
            ),
        ),
    )


def test_only_root_is_told_placements() -> None:
    gpu = read_gpu(**mig(DeviceGetGpuInstanceById=refuse(pynvml.NVML_ERROR_NO_PERMISSION)))
    assert gpu.error is None
    assert gpu.mig is not None
    assert [device.placement for device in gpu.mig.devices] == [None, None]


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
