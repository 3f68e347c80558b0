"""One GPU, read through NVML: every section on its own, so that one refusal hides nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.groundwork.gpu import kernel, links, pods, sensors
from ansible.module_utils.groundwork.gpu.model import (
    Board,
    Driver,
    Ecc,
    Failure,
    Gpu,
    Memory,
    Mig,
    MigDevice,
    Pci,
    Process,
    RemapAvailability,
    RetiredPages,
)
from ansible.module_utils.groundwork.gpu.nvml import Nvml, NvmlError
from ansible.module_utils.groundwork.gpu.pci import sysfs_bus_id

NO_INSTANCE = 0xFFFFFFFF
"""NVML's id for "in no GPU instance"."""
NO_VALUE = 0xFFFFFFFFFFFFFFFF
"""NVML_VALUE_NOT_AVAILABLE in an unsigned 64-bit field."""
COMPUTE_MODES = {0: "default", 2: "prohibited", 3: "exclusive_process"}
"""nvmlComputeMode_t; 1, exclusive to a thread, is gone since CUDA 8."""
VIRTUALIZATION_MODES = {0: "none", 1: "passthrough", 2: "vgpu", 3: "host_vgpu", 4: "host_vsga"}
"""nvmlGpuVirtualizationMode_t."""
RECOVERY_ACTIONS = {0: "none", 1: "reset", 2: "reboot", 3: "drain_p2p", 4: "drain_and_reset"}
"""nvmlDeviceGpuRecoveryAction_t."""
UNKNOWN_PSTATE = 32
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
        "temperature": lambda: sensors.temperature(nvml, handle),
        "power": lambda: sensors.power(nvml, handle),
        "clocks": lambda: sensors.clocks(nvml, handle),
        "utilization": lambda: sensors.utilization(nvml, handle),
        "processes": lambda: tuple(processes(nvml, handle, proc)),
        "persistence_mode": lambda: _truth(nvml.ask("DeviceGetPersistenceMode", handle)),
        "compute_mode": lambda: COMPUTE_MODES.get(nvml.ask("DeviceGetComputeMode", handle)),
        "performance_state": lambda: _performance_state(nvml.hint("DeviceGetPerformanceState", handle)),
        "virtualization_mode": lambda: VIRTUALIZATION_MODES.get(nvml.hint("DeviceGetVirtualizationMode", handle)),
        "gsp_firmware_version": lambda: nvml.hint("DeviceGetGspFirmwareVersion", handle),
        "recovery_action": lambda: RECOVERY_ACTIONS.get(nvml.named_fields(handle, ["GET_GPU_RECOVERY_ACTION"])[0]),
        "board": lambda: _board(nvml, handle),
        "bar1": lambda: _bar1(nvml, handle),
        "nvlinks": lambda: links.nvlinks(nvml, handle),
        "fabric": lambda: links.fabric(nvml, handle),
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
    return Pci(
        bus_id=sysfs_bus_id(info.busId),
        device_id=f"{info.pciDeviceId >> 16:04x}",  # NVML packs device id above vendor id
        subsystem_id=f"{info.pciSubSystemId >> 16:04x}",
        link_generation=nvml.ask("DeviceGetCurrPcieLinkGeneration", handle),
        link_generation_max=nvml.ask("DeviceGetMaxPcieLinkGeneration", handle),
        link_width=nvml.ask("DeviceGetCurrPcieLinkWidth", handle),
        link_width_max=nvml.ask("DeviceGetMaxPcieLinkWidth", handle),
        link_generation_gpu_max=nvml.hint("DeviceGetGpuMaxPcieLinkGeneration", handle),
        replay_count=nvml.hint("DeviceGetPcieReplayCounter", handle),
    )


def _board(nvml: Nvml, handle: object) -> Board:
    number = nvml.hint("DeviceGetBoardId", handle)
    return Board(
        board_id=None if number is None else f"{number:#x}",
        part_number=nvml.hint("DeviceGetBoardPartNumber", handle),
        module_id=nvml.hint("DeviceGetModuleId", handle),
        inforom_version=nvml.hint("DeviceGetInforomImageVersion", handle),
    )


def _bar1(nvml: Nvml, handle: object) -> Memory | None:
    info = nvml.hint("DeviceGetBAR1MemoryInfo", handle)
    return info and Memory(info.bar1Total >> 20, info.bar1Used >> 20, info.bar1Free >> 20)


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
            device = nvml.ask("DeviceGetMigDeviceHandleByIndex", handle, index)
            yield _mig_device(nvml, handle, device, index)


def _mig_device(nvml: Nvml, parent: object, handle: object, index: int) -> MigDevice:
    name = str(nvml.ask("DeviceGetName", handle))
    instance = nvml.ask("DeviceGetGpuInstanceId", handle)
    return MigDevice(
        index=index,
        uuid=nvml.ask("DeviceGetUUID", handle),
        name=name,
        profile=name.split(" MIG ")[1] if " MIG " in name else None,
        gpu_instance_id=instance,
        compute_instance_id=nvml.ask("DeviceGetComputeInstanceId", handle),
        memory=_memory(nvml, handle),
        placement=_placement(nvml, parent, instance),
    )


def _placement(nvml: Nvml, handle: object, instance: int) -> str | None:
    found = nvml.hint("DeviceGetGpuInstanceById", handle, instance)
    info = nvml.hint("GpuInstanceGetInfo", found) if found is not None else None
    return info and f"{info.placement.start}:{info.placement.size}"


def _ecc(nvml: Nvml, handle: object) -> Ecc:
    modes = nvml.ask("DeviceGetEccMode", handle) or (None, None)
    rows = nvml.ask("DeviceGetRemappedRows", handle) or (None, None, None, None)
    kinds = {kind: nvml.constant(f"MEMORY_ERROR_TYPE_{kind}") for kind in ("CORRECTED", "UNCORRECTED")}
    counters = {counter: nvml.constant(f"{counter}_ECC") for counter in ("VOLATILE", "AGGREGATE")}

    def errors(kind: str, counter: str) -> Any:
        return nvml.ask("DeviceGetTotalEccErrors", handle, kinds[kind], counters[counter])

    def uncorrected(counter: str, place: str) -> Any:
        where = nvml.constant(f"MEMORY_LOCATION_{place}")
        return nvml.hint("DeviceGetMemoryErrorCounter", handle, kinds["UNCORRECTED"], counters[counter], where)

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
        remap_availability=_remap_availability(nvml, handle),
        retired_pages=_retired_pages(nvml, handle),
        dram_uncorrected_volatile=uncorrected("VOLATILE", "DRAM"),
        dram_uncorrected_aggregate=uncorrected("AGGREGATE", "DRAM"),
        sram_uncorrected_volatile=uncorrected("VOLATILE", "SRAM"),
        sram_uncorrected_aggregate=uncorrected("AGGREGATE", "SRAM"),
    )


def _remap_availability(nvml: Nvml, handle: object) -> RemapAvailability | None:
    banks = nvml.hint("DeviceGetRowRemapperHistogram", handle)
    return banks and RemapAvailability(banks.max, banks.high, banks.partial, banks.low, banks.none)


def _retired_pages(nvml: Nvml, handle: object) -> RetiredPages | None:
    """By cause: nvmlPageRetirementCause_t, 0 for several single bit errors, 1 for a double bit error."""
    single, double = (nvml.hint("DeviceGetRetiredPages", handle, cause) for cause in (0, 1))
    if single is None and double is None:
        return None
    pending = _truth(nvml.hint("DeviceGetRetiredPagesPendingStatus", handle))
    return RetiredPages(len(single or ()), len(double or ()), pending)


def _performance_state(number: int | None) -> str | None:
    return None if number in (None, UNKNOWN_PSTATE) else f"P{number}"


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


def _mib(number: int | None) -> int | None:
    return None if number is None or number == NO_VALUE else number >> 20


def _instance(number: int | None) -> int | None:
    return None if number in (None, NO_INSTANCE) else number
