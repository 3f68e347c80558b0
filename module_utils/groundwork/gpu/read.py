"""One GPU, read through NVML: every section on its own, so that one refusal hides nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.groundwork.gpu import kernel, pods
from ansible.module_utils.groundwork.gpu.model import (
    Clocks,
    Driver,
    Ecc,
    Failure,
    Gpu,
    Memory,
    Mig,
    MigDevice,
    Pci,
    Power,
    Process,
    Temperature,
    Utilization,
)
from ansible.module_utils.groundwork.gpu.nvml import Nvml, NvmlError
from ansible.module_utils.groundwork.gpu.pci import sysfs_bus_id

NO_INSTANCE = 0xFFFFFFFF
"""NVML's id for "in no GPU instance"."""
NO_VALUE = 0xFFFFFFFFFFFFFFFF
"""NVML_VALUE_NOT_AVAILABLE in an unsigned 64-bit field."""
COMPUTE_MODES = {0: "default", 2: "prohibited", 3: "exclusive_process"}
"""nvmlComputeMode_t; 1, exclusive to a thread, is gone since CUDA 8."""
NAMES = ("kepler", "maxwell", "pascal", "volta", "turing", "ampere", "ada", "hopper", "blackwell")
ARCHITECTURES = dict(enumerate(NAMES, 2))
"""nvmlDeviceArchitecture_t."""


def driver(nvml: Nvml, proc: Path = Path("/proc")) -> Driver:
    """The versions that NVML and the kernel tell. The two differ after an upgrade without a reboot."""
    cuda = nvml.ask("SystemGetCudaDriverVersion_v2")
    module_version, is_open = kernel.observe(proc)
    return Driver(
        version=nvml.ask("SystemGetDriverVersion"),
        cuda_version=f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else None,
        nvml_version=nvml.ask("SystemGetNVMLVersion"),
        kernel_module_version=module_version,
        kernel_module_is_open=is_open,
    )


def count(nvml: Nvml) -> int:
    """How many GPUs the driver knows, answering or not."""
    return int(nvml.ask("DeviceGetCount") or 0)


def gpu(nvml: Nvml, index: int, proc: Path = Path("/proc")) -> Gpu:
    """All of one GPU. Never raises NvmlError: what it refused is in `error`, with the rest still there."""
    try:
        handle = nvml.ask("DeviceGetHandleByIndex", index)
    except NvmlError as error:
        return Gpu(index, error=_failure(error))
    sections: dict[str, Callable[[], object]] = {
        "uuid": lambda: nvml.ask("DeviceGetUUID", handle),
        "name": lambda: nvml.ask("DeviceGetName", handle),
        "serial": lambda: nvml.ask("DeviceGetSerial", handle),
        "minor_number": lambda: nvml.ask("DeviceGetMinorNumber", handle),
        "architecture": lambda: ARCHITECTURES.get(nvml.ask("DeviceGetArchitecture", handle)),
        "cuda_compute_capability": lambda: _capability(nvml, handle),
        "vbios_version": lambda: nvml.ask("DeviceGetVbiosVersion", handle),
        "pci": lambda: _pci(nvml, handle),
        "memory": lambda: _memory(nvml, handle),
        "mig": lambda: _mig(nvml, handle),
        "ecc": lambda: _ecc(nvml, handle),
        "temperature": lambda: _temperature(nvml, handle),
        "power": lambda: _power(nvml, handle),
        "clocks": lambda: _clocks(nvml, handle),
        "utilization": lambda: _utilization(nvml, handle),
        "processes": lambda: tuple(processes(nvml, handle, proc)),
        "persistence_mode": lambda: _truth(nvml.ask("DeviceGetPersistenceMode", handle)),
        "compute_mode": lambda: COMPUTE_MODES.get(nvml.ask("DeviceGetComputeMode", handle)),
    }
    return _gpu(index, sections)


def _gpu(index: int, sections: dict[str, Callable[[], object]]) -> Gpu:
    """Read every section; the first refusal becomes the GPU's error, the others are usually its echo."""
    values: dict[str, Any] = {}
    refusals: list[NvmlError] = []
    for name, read in sections.items():
        try:
            values[name] = read()
        except NvmlError as error:
            refusals.append(error)
    return Gpu(index, **values, error=_failure(refusals[0]) if refusals else None)


def _failure(error: NvmlError) -> Failure:
    return Failure(error.code, error.message, error.remedy)


def _capability(nvml: Nvml, handle: object) -> str | None:
    numbers = nvml.ask("DeviceGetCudaComputeCapability", handle)
    return f"{numbers[0]}.{numbers[1]}" if numbers else None


def _pci(nvml: Nvml, handle: object) -> Pci | None:
    info = nvml.ask("DeviceGetPciInfo_v3", handle)
    if info is None:
        return None
    text = info.busId.decode() if isinstance(info.busId, bytes) else info.busId
    return Pci(
        bus_id=sysfs_bus_id(text),
        device_id=f"{info.pciDeviceId >> 16:04x}",  # NVML packs device id above vendor id
        subsystem_id=f"{info.pciSubSystemId >> 16:04x}",
        link_generation=nvml.ask("DeviceGetCurrPcieLinkGeneration", handle),
        link_generation_max=nvml.ask("DeviceGetMaxPcieLinkGeneration", handle),
        link_width=nvml.ask("DeviceGetCurrPcieLinkWidth", handle),
        link_width_max=nvml.ask("DeviceGetMaxPcieLinkWidth", handle),
    )


def _memory(nvml: Nvml, handle: object) -> Memory | None:
    """The second version tells the driver's own share apart; the first, all that old drivers know, does not."""
    version = nvml.constant("Memory_v2")
    info = nvml.ask("DeviceGetMemoryInfo", handle, version=version) if version else None
    info = info or nvml.ask("DeviceGetMemoryInfo", handle)
    if info is None:
        return None
    return Memory(info.total >> 20, info.used >> 20, info.free >> 20, _mib(getattr(info, "reserved", None)))


def _mig(nvml: Nvml, handle: object) -> Mig:
    modes = nvml.ask("DeviceGetMigMode", handle)
    if modes is None:
        return Mig()
    current, pending = (_mode(mode) for mode in modes)
    return Mig(current, pending, tuple(mig_devices(nvml, handle)) if current == "enabled" else ())


def mig_devices(nvml: Nvml, handle: object) -> Iterator[MigDevice]:
    """The MIG devices of a GPU. NVML lists as many places as there could be; empty ones answer NotFound."""
    for index in range(nvml.ask("DeviceGetMaxMigDeviceCount", handle) or 0):
        with _nothing_there():
            yield _mig_device(nvml, nvml.ask("DeviceGetMigDeviceHandleByIndex", handle, index), index)


def _mig_device(nvml: Nvml, handle: object, index: int) -> MigDevice:
    name = str(nvml.ask("DeviceGetName", handle))
    return MigDevice(
        index=index,
        uuid=nvml.ask("DeviceGetUUID", handle),
        name=name,
        profile=name.split(" MIG ")[1] if " MIG " in name else None,
        gpu_instance_id=nvml.ask("DeviceGetGpuInstanceId", handle),
        compute_instance_id=nvml.ask("DeviceGetComputeInstanceId", handle),
        memory=_memory(nvml, handle),
    )


def _ecc(nvml: Nvml, handle: object) -> Ecc:
    modes = nvml.ask("DeviceGetEccMode", handle) or (None, None)
    rows = nvml.ask("DeviceGetRemappedRows", handle) or (None, None, None, None)

    def errors(kind: str, counter: str) -> int | None:
        arguments = (nvml.constant(f"MEMORY_ERROR_TYPE_{kind}"), nvml.constant(f"{counter}_ECC"))
        number: int | None = nvml.ask("DeviceGetTotalEccErrors", handle, *arguments)
        return number

    return Ecc(
        mode_current=_mode(modes[0]),
        mode_pending=_mode(modes[1]),
        corrected_volatile=errors("CORRECTED", "VOLATILE"),
        uncorrected_volatile=errors("UNCORRECTED", "VOLATILE"),
        corrected_aggregate=errors("CORRECTED", "AGGREGATE"),
        uncorrected_aggregate=errors("UNCORRECTED", "AGGREGATE"),
        remapped_rows_corrected=rows[0],
        remapped_rows_uncorrected=rows[1],
        remapping_pending=_truth(rows[2]),
        remapping_failed=_truth(rows[3]),
    )


def _temperature(nvml: Nvml, handle: object) -> Temperature:
    return Temperature(
        nvml.ask("DeviceGetTemperature", handle, nvml.constant("TEMPERATURE_GPU")),
        nvml.ask("DeviceGetTemperatureThreshold", handle, nvml.constant("TEMPERATURE_THRESHOLD_SLOWDOWN")),
        nvml.ask("DeviceGetTemperatureThreshold", handle, nvml.constant("TEMPERATURE_THRESHOLD_SHUTDOWN")),
    )


def _power(nvml: Nvml, handle: object) -> Power:
    low, high = nvml.ask("DeviceGetPowerManagementLimitConstraints", handle) or (None, None)
    return Power(
        usage_watts=_watts(nvml.ask("DeviceGetPowerUsage", handle)),
        limit_watts=_watts(nvml.ask("DeviceGetEnforcedPowerLimit", handle)),
        limit_default_watts=_watts(nvml.ask("DeviceGetPowerManagementDefaultLimit", handle)),
        limit_min_watts=_watts(low),
        limit_max_watts=_watts(high),
    )


def _clocks(nvml: Nvml, handle: object) -> Clocks:
    sm, memory = nvml.constant("CLOCK_SM"), nvml.constant("CLOCK_MEM")
    return Clocks(
        sm_mhz=nvml.ask("DeviceGetClockInfo", handle, sm),
        sm_max_mhz=nvml.ask("DeviceGetMaxClockInfo", handle, sm),
        memory_mhz=nvml.ask("DeviceGetClockInfo", handle, memory),
        memory_max_mhz=nvml.ask("DeviceGetMaxClockInfo", handle, memory),
        event_reasons=nvml.ask("DeviceGetCurrentClocksEventReasons", handle),
    )


def _utilization(nvml: Nvml, handle: object) -> Utilization:
    rates = nvml.ask("DeviceGetUtilizationRates", handle)
    return Utilization(rates.gpu, rates.memory) if rates else Utilization()


def processes(nvml: Nvml, handle: object, proc: Path = Path("/proc")) -> Iterator[Process]:
    """The processes that hold a GPU, those on its MIG devices too."""
    for kind in ("Compute", "Graphics"):
        for found in nvml.ask(f"DeviceGet{kind}RunningProcesses", handle) or ():
            yield Process(
                pid=found.pid,
                kind=kind.lower(),
                name=_process_name(found.pid, proc),
                memory_mib=_mib(found.usedGpuMemory),
                gpu_instance_id=_instance(getattr(found, "gpuInstanceId", None)),
                compute_instance_id=_instance(getattr(found, "computeInstanceId", None)),
                pod=pods.of(found.pid, proc),
            )


def _process_name(pid: int, proc: Path) -> str | None:
    try:
        return (proc / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # it ended, or lives in a process namespace that is not ours
        return None


@contextlib.contextmanager
def _nothing_there() -> Iterator[None]:
    try:
        yield
    except NvmlError as error:
        if error.code != "NotFound":
            raise


def _mode(flag: int | None) -> str | None:
    """nvmlEnableState_t."""
    return None if flag is None else ("disabled", "enabled")[flag]


def _truth(flag: int | None) -> bool | None:
    return None if flag is None else bool(flag)


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000


def _mib(number: int | None) -> int | None:
    return None if number is None or number == NO_VALUE else number >> 20


def _instance(number: int | None) -> int | None:
    return None if number in (None, NO_INSTANCE) else number
