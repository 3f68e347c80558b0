"""What is known of a GPU. Units are in the names; None means that the GPU, or its driver, does not tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DeviceKind = Literal["gpu", "nvswitch"]


@dataclass(frozen=True)
class PciDevice:
    """An NVIDIA device in the kernel's PCI tree; seen without any driver.

    bus_id          as sysfs spells it: 0000:1b:00.0
    device_id       four hexadecimal digits, as in https://pci-ids.ucw.cz/read/PC/10de
    driver          the kernel driver bound to it (nvidia, nouveau, vfio-pci), None if none
    numa_node       None where the machine has no NUMA or firmware does not tell
    link_width, link_width_max      lanes; link_speed, link_speed_max: the kernel's text, "16.0 GT/s PCIe"
    """

    bus_id: str
    kind: DeviceKind
    device_id: str
    subsystem_id: str | None
    driver: str | None
    numa_node: int | None
    link_width: int | None
    link_width_max: int | None
    link_speed: str | None
    link_speed_max: str | None


@dataclass(frozen=True)
class Driver:
    """Versions; cuda_version is the newest CUDA that the driver runs, kernel_module_version the loaded module's."""

    version: str | None = None
    cuda_version: str | None = None
    nvml_version: str | None = None
    kernel_module_version: str | None = None
    kernel_module_is_open: bool | None = None


@dataclass(frozen=True)
class Pci:
    """Where a GPU is plugged in, as NVML tells, completed from sysfs."""

    bus_id: str | None
    device_id: str | None = None
    subsystem_id: str | None = None
    numa_node: int | None = None
    link_generation: int | None = None
    link_generation_max: int | None = None
    link_width: int | None = None
    link_width_max: int | None = None


@dataclass(frozen=True)
class Memory:
    """Framebuffer memory in MiB; `reserved` is the driver's own and neither used nor free."""

    total_mib: int
    used_mib: int
    free_mib: int
    reserved_mib: int | None = None


@dataclass(frozen=True)
class MigDevice:
    """One MIG device: a compute instance in a GPU instance. `profile` as in nvidia-smi: 1g.10gb."""

    index: int
    uuid: str
    name: str
    profile: str | None
    gpu_instance_id: int
    compute_instance_id: int
    memory: Memory | None


@dataclass(frozen=True)
class Mig:
    """Mode "enabled" or "disabled", None on a GPU that cannot be partitioned; the pending one comes at a reset."""

    mode_current: str | None = None
    mode_pending: str | None = None
    devices: tuple[MigDevice, ...] = ()


@dataclass(frozen=True)
class Ecc:
    """Error correction: mode, counted errors, and remapped rows of memory (Ampere and newer)."""

    mode_current: str | None = None
    mode_pending: str | None = None
    corrected_volatile: int | None = None
    uncorrected_volatile: int | None = None
    corrected_aggregate: int | None = None
    uncorrected_aggregate: int | None = None
    remapped_rows_corrected: int | None = None
    remapped_rows_uncorrected: int | None = None
    remapping_pending: bool | None = None
    remapping_failed: bool | None = None


@dataclass(frozen=True)
class Temperature:
    """Degrees Celsius, and where the GPU slows down or shuts off."""

    gpu_celsius: int | None = None
    slowdown_celsius: int | None = None
    shutdown_celsius: int | None = None


@dataclass(frozen=True)
class Power:
    """Watts."""

    usage_watts: float | None = None
    limit_watts: float | None = None
    limit_default_watts: float | None = None
    limit_min_watts: float | None = None
    limit_max_watts: float | None = None


@dataclass(frozen=True)
class Clocks:
    """MHz. `event_reasons` is NVML's bit mask of what holds the clocks back at the moment."""

    sm_mhz: int | None = None
    sm_max_mhz: int | None = None
    memory_mhz: int | None = None
    memory_max_mhz: int | None = None
    event_reasons: int | None = None


@dataclass(frozen=True)
class Utilization:
    """Percent of the last sample period; None on a GPU in MIG mode."""

    gpu_percent: int | None = None
    memory_percent: int | None = None


@dataclass(frozen=True)
class Process:
    """A process that holds the GPU. The ids of instances are None on a GPU that is not partitioned.

    pod  namespace/name of the pod it belongs to; None for one of no pod
    """

    pid: int
    kind: str
    name: str | None
    memory_mib: int | None
    gpu_instance_id: int | None = None
    compute_instance_id: int | None = None
    pod: str | None = None


@dataclass(frozen=True)
class Failure:
    """Why a GPU, or a part of its answers, is missing."""

    code: str
    message: str
    remedy: str


@dataclass(frozen=True)
class Gpu:
    """One GPU. A GPU that does not answer has its index, where it can be told its bus id, and `error`."""

    index: int
    uuid: str | None = None
    name: str | None = None
    serial: str | None = None
    minor_number: int | None = None
    architecture: str | None = None
    cuda_compute_capability: str | None = None
    vbios_version: str | None = None
    pci: Pci | None = None
    memory: Memory | None = None
    mig: Mig | None = None
    ecc: Ecc | None = None
    temperature: Temperature | None = None
    power: Power | None = None
    clocks: Clocks | None = None
    utilization: Utilization | None = None
    processes: tuple[Process, ...] | None = None
    persistence_mode: bool | None = None
    compute_mode: str | None = None
    error: Failure | None = None
