"""What module nvidia_gpu_info reads, as plainly as pynvml can be asked: what `script/benchmark` measures it by.

One process, one GPU after the other, no deadline, no words; what NVML refuses is None. The names of processes and what
sysfs says of PCI are left out.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import sys
from typing import Any

import pynvml as nvml

PLAIN = (
    "UUID",
    "Name",
    "Serial",
    "MinorNumber",
    "Architecture",
    "CudaComputeCapability",
    "VbiosVersion",
    "PciInfo",
    "CurrPcieLinkGeneration",
    "MaxPcieLinkGeneration",
    "GpuMaxPcieLinkGeneration",
    "CurrPcieLinkWidth",
    "MaxPcieLinkWidth",
    "PcieReplayCounter",
    "EccMode",
    "RemappedRows",
    "RowRemapperHistogram",
    "MarginTemperature",
    "PowerUsage",
    "EnforcedPowerLimit",
    "PowerManagementLimit",
    "PowerManagementDefaultLimit",
    "PowerManagementLimitConstraints",
    "CurrentClocksEventReasons",
    "UtilizationRates",
    "EncoderUtilization",
    "DecoderUtilization",
    "ComputeRunningProcesses",
    "GraphicsRunningProcesses",
    "PersistenceMode",
    "ComputeMode",
    "PerformanceState",
    "VirtualizationMode",
    "GspFirmwareVersion",
    "BoardId",
    "BoardPartNumber",
    "ModuleId",
    "InforomImageVersion",
    "BAR1MemoryInfo",
)
CORRECTED, UNCORRECTED = nvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED
COUNTERS = (nvml.NVML_VOLATILE_ECC, nvml.NVML_AGGREGATE_ECC)
PLACES = (nvml.NVML_MEMORY_LOCATION_DRAM, nvml.NVML_MEMORY_LOCATION_SRAM)


def ask(function: str, *arguments: Any, **options: Any) -> Any:
    try:
        return plain(getattr(nvml, f"nvml{function}")(*arguments, **options))
    except nvml.NVMLError:
        return None


def plain(answer: Any) -> Any:
    if isinstance(answer, ctypes.Structure):
        return {name: plain(getattr(answer, name)) for name, *_ in answer._fields_}
    if isinstance(answer, ctypes.Array):
        return list(answer)
    return answer


def fields(handle: Any, wanted: list[Any]) -> list[Any]:
    found = nvml.nvmlDeviceGetFieldValues(handle, wanted) if wanted else ()
    return [one.value.siVal if one.nvmlReturn == 0 else None for one in found]


def links(handle: Any) -> Any:
    found = []
    for link in range(nvml.NVML_NVLINK_MAX_LINKS):
        state = ask("DeviceGetNvLinkState", handle, link)
        if state is None:
            break
        remote = [ask(f"DeviceGetNvLinkRemote{what}", handle, link) for what in ("PciInfo", "DeviceType")]
        found.append((state, remote))
    kinds = (nvml.NVML_FI_DEV_NVLINK_GET_VERSION, nvml.NVML_FI_DEV_NVLINK_GET_SPEED)
    return found, fields(handle, [(kind, link) for kind in kinds for link in range(len(found))])


def fabric(handle: Any) -> Any:
    info = nvml.c_nvmlGpuFabricInfo_v3_t()
    return ask("DeviceGetGpuFabricInfoV", handle, ctypes.byref(info)), plain(info)


def pages(handle: Any) -> Any:
    found = [ask("DeviceGetRetiredPages", handle, cause) for cause in (0, 1)]
    return found, ask("DeviceGetRetiredPagesPendingStatus", handle) if found != [None, None] else None


def mig(handle: Any) -> Any:
    modes = ask("DeviceGetMigMode", handle)
    found = []
    for index in range(ask("DeviceGetMaxMigDeviceCount", handle) if modes and modes[0] else 0):
        device = ask("DeviceGetMigDeviceHandleByIndex", handle, index)
        if device is None:
            continue
        ids = [ask(f"DeviceGet{what}Id", device) for what in ("GpuInstance", "ComputeInstance")]
        names = [ask(f"DeviceGet{what}", device) for what in ("Name", "UUID")]
        place = ask("GpuInstanceGetInfo", ask("DeviceGetGpuInstanceById", handle, ids[0]))
        found.append((ids, names, ask("DeviceGetMemoryInfo", device, version=nvml.nvmlMemory_v2), place))
    return modes, found


def gpu(handle: Any) -> dict[str, Any]:
    return {
        **{name: ask(f"DeviceGet{name}", handle) for name in PLAIN},
        "memory": ask("DeviceGetMemoryInfo", handle, version=nvml.nvmlMemory_v2),
        "errors": [
            ask("DeviceGetTotalEccErrors", handle, kind, counter)
            for kind in (CORRECTED, UNCORRECTED)
            for counter in COUNTERS
        ],
        "places": [
            ask("DeviceGetMemoryErrorCounter", handle, UNCORRECTED, counter, place)
            for counter in COUNTERS
            for place in PLACES
        ],
        "pages": pages(handle),
        "temperature": ask("DeviceGetTemperature", handle, nvml.NVML_TEMPERATURE_GPU),
        "limits": [ask("DeviceGetTemperatureThreshold", handle, kind) for kind in range(4)],
        "fields": fields(handle, [82, 193, 194, 195, 196, 230]),
        "clocks": [ask("DeviceGetClockInfo", handle, kind) for kind in range(4)],
        "max_clocks": [ask("DeviceGetMaxClockInfo", handle, kind) for kind in range(3)],
        "mig": mig(handle),
        "links": links(handle),
        "fabric": fabric(handle),
    }


def main() -> None:
    nvml.nvmlInit()
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    versions = ("SystemGetDriverVersion", "SystemGetNVMLVersion", "SystemGetCudaDriverVersion_v2")
    found = {
        "driver": [ask(name) for name in versions],
        "gpus": [gpu(handle) for handle in handles],
        "topology": [ask("DeviceGetTopologyCommonAncestor", *both) for both in itertools.combinations(handles, 2)],
    }
    nvml.nvmlShutdown()
    json.dump(found, sys.stdout, default=str)


if __name__ == "__main__":
    main()
