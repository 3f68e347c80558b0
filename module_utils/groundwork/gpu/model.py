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
    cpu_affinity    the CPUs nearest to it, as the kernel lists them: 0-15,32-47
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
    cpu_affinity: str | None = None


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
    """Where a GPU is plugged in, as NVML tells, completed from sysfs.

    link_generation_max, link_width_max     what GPU and slot can together; link_generation_gpu_max: the GPU alone
    replay_count                            packets that had to be sent again since the driver was loaded
    """

    bus_id: str | None
    device_id: str | None = None
    subsystem_id: str | None = None
    numa_node: int | None = None
    link_generation: int | None = None
    link_generation_max: int | None = None
    link_width: int | None = None
    link_width_max: int | None = None
    link_generation_gpu_max: int | None = None
    replay_count: int | None = None
    cpu_affinity: str | None = None


@dataclass(frozen=True)
class Board:
    """The board a GPU is on, and the version of what its InfoROM says. `module_id`: its place on an HGX board."""

    board_id: str | None = None
    part_number: str | None = None
    module_id: int | None = None
    inforom_version: str | None = None


@dataclass(frozen=True)
class Memory:
    """Framebuffer memory in MiB; `reserved` is the driver's own and neither used nor free."""

    total_mib: int
    used_mib: int
    free_mib: int
    reserved_mib: int | None = None


@dataclass(frozen=True)
class MigDevice:
    """One MIG device: a compute instance in a GPU instance. `profile` as in nvidia-smi: 1g.10gb.

    placement   of the GPU instance, in memory slices, start:size as `nvidia-smi mig -lgi` writes it; for root alone
    """

    index: int
    uuid: str
    name: str
    profile: str | None
    gpu_instance_id: int
    compute_instance_id: int
    memory: Memory | None
    placement: str | None = None


@dataclass(frozen=True)
class Mig:
    """Mode "enabled" or "disabled", None on a GPU that cannot be partitioned; the pending one comes at a reset."""

    mode_current: str | None = None
    mode_pending: str | None = None
    devices: tuple[MigDevice, ...] = ()


@dataclass(frozen=True)
class RemapAvailability:
    """How many banks of memory have so many spare rows left: all ("max"), most, some, few, none."""

    max: int
    high: int
    partial: int
    low: int
    none: int


@dataclass(frozen=True)
class RetiredPages:
    """Pages of memory that the driver leaves alone (before Ampere), by cause; `pending`: a reboot makes it so."""

    single_bit: int | None = None
    double_bit: int | None = None
    pending: bool | None = None


@dataclass(frozen=True)
class Ecc:
    """Error correction: mode, counted errors, and remapped rows of memory (Ampere and newer).

    volatile    since the driver was loaded; aggregate: in the board's life. DRAM's and SRAM's are parts of the sums.
    """

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
    remap_availability: RemapAvailability | None = None
    retired_pages: RetiredPages | None = None
    dram_uncorrected_volatile: int | None = None
    dram_uncorrected_aggregate: int | None = None
    sram_uncorrected_volatile: int | None = None
    sram_uncorrected_aggregate: int | None = None


@dataclass(frozen=True)
class Temperature:
    """Degrees Celsius, and where the GPU slows down or shuts off.

    Ada and newer tell no limits but distances: `margin_celsius` is how far the GPU is from where its clocks begin to
    fall (nvidia-smi: T.Limit), and the other margins are that distance when the event comes: -2 is 2 degrees over.
    """

    gpu_celsius: int | None = None
    slowdown_celsius: int | None = None
    shutdown_celsius: int | None = None
    gpu_max_celsius: int | None = None
    memory_celsius: int | None = None
    memory_max_celsius: int | None = None
    margin_celsius: int | None = None
    slowdown_margin_celsius: int | None = None
    shutdown_margin_celsius: int | None = None
    gpu_max_margin_celsius: int | None = None
    memory_max_margin_celsius: int | None = None


@dataclass(frozen=True)
class Power:
    """Watts. `limit_watts` is the limit in force, `limit_requested_watts` the one that was set."""

    usage_watts: float | None = None
    limit_watts: float | None = None
    limit_default_watts: float | None = None
    limit_min_watts: float | None = None
    limit_max_watts: float | None = None
    limit_requested_watts: float | None = None


@dataclass(frozen=True)
class Clocks:
    """MHz. `event_reasons` is NVML's bit mask of what holds the clocks back just now, `reasons` the same in words."""

    sm_mhz: int | None = None
    sm_max_mhz: int | None = None
    memory_mhz: int | None = None
    memory_max_mhz: int | None = None
    event_reasons: int | None = None
    reasons: tuple[str, ...] | None = None
    graphics_mhz: int | None = None
    graphics_max_mhz: int | None = None
    video_mhz: int | None = None


@dataclass(frozen=True)
class Utilization:
    """Percent of the last sample period; None on a GPU in MIG mode."""

    gpu_percent: int | None = None
    memory_percent: int | None = None
    encoder_percent: int | None = None
    decoder_percent: int | None = None


@dataclass(frozen=True)
class NvLink:
    """One NVLink. What is at its other end ("gpu", "switch", "npu") is told while it is active.

    speed_mbps  megabytes a second and direction, as nvidia-smi nvlink shows it in GB/s
    """

    index: int
    active: bool
    version: int | None = None
    speed_mbps: int | None = None
    remote_kind: str | None = None
    remote_bus_id: str | None = None


@dataclass(frozen=True)
class Fabric:
    """Where a GPU is on its way into NVLink's fabric (Hopper and newer), which the fabric manager sets up.

    state           not_supported, not_started, in_progress or completed
    status          how it completed: Success, or the code of what went wrong: InsufficientResources
    health_mask     NVML_GPU_FABRIC_HEALTH_MASK_*; 0 where nothing is said
    """

    state: str
    status: str
    clique_id: int
    cluster_uuid: str
    health_mask: int | None = None


@dataclass(frozen=True)
class Pair:
    """How two GPUs reach each other, as a cell of `nvidia-smi topo -m`; gpus: their indices.

    path        over PCIe: PIX (one switch), PXB (several), PHB (a host bridge), NODE (a NUMA node), SYS (between nodes)
    nvlinks     how many NVLinks connect them, directly or through switches
    """

    gpus: tuple[int, int]
    path: str | None
    nvlinks: int


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
    performance_state: str | None = None
    virtualization_mode: str | None = None
    gsp_firmware_version: str | None = None
    recovery_action: str | None = None
    board: Board | None = None
    bar1: Memory | None = None
    nvlinks: tuple[NvLink, ...] | None = None
    fabric: Fabric | None = None
