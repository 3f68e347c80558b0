"""All GPUs of this host. Each is read in a child under one deadline, so that a lost or hanging GPU hides no other."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.groundwork import child
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import kernel, nvml, pci, read
from ansible.module_utils.groundwork.gpu.model import Driver, Failure, Gpu, Pci, PciDevice


@dataclass(frozen=True)
class NvmlState:
    """Whether NVML answers; if not, why, what to do, and NVML's own code where it is NVML that refused."""

    available: bool
    reason: str | None = None
    remedy: str | None = None
    code: str | None = None


@dataclass(frozen=True)
class Host:
    """What a host's GPUs, driver and PCI tree say."""

    driver: Driver
    nvml: NvmlState
    gpus: tuple[Gpu, ...]
    pci_devices: tuple[PciDevice, ...]

    def to_dict(self) -> dict[str, Any]:
        """The return shape of module nvidia_gpu_info."""
        return {**dataclasses.asdict(self), "resources": resources(self.gpus)}


def resources(gpus: Iterable[Gpu]) -> dict[str, list[str]]:
    """The UUIDs of what programs can use, by the name under which NVIDIA's device plugin offers it, strategy "mixed".

    A GPU in MIG mode is none by itself. https://github.com/NVIDIA/k8s-device-plugin, internal/rm: "+" becomes "."
    """
    found: dict[str, list[str]] = {"nvidia.com/gpu": []}
    for gpu in gpus:
        if gpu.error or not gpu.uuid:
            continue
        if gpu.mig and gpu.mig.mode_current == "enabled":
            for device in gpu.mig.devices:
                found.setdefault(f"nvidia.com/mig-{(device.profile or '').replace('+', '.')}", []).append(device.uuid)
        else:
            found["nvidia.com/gpu"].append(gpu.uuid)
    return found


def observe(timeout_seconds: float, library: Any = None) -> Host:
    """Observe this host within about `timeout_seconds`, twice that where the driver itself hangs.

    library  stands in for pynvml in tests
    """
    devices = pci.observe()
    try:
        driver, count = child.call(lambda: _driver(library), timeout_seconds, "the NVIDIA driver")
    except GroundworkError as error:
        module_version, is_open = kernel.observe()
        driver = Driver(kernel_module_version=module_version, kernel_module_is_open=is_open)
        code = error.code if isinstance(error, nvml.NvmlError) else None
        return Host(driver, NvmlState(False, error.message, error.remedy, code), (), devices)
    gpus = _gpus(count, timeout_seconds, library)
    return Host(driver, NvmlState(True), tuple(complete(gpus, devices)), devices)


def _driver(library: Any) -> tuple[Driver, int]:
    with nvml.session(library) as opened:
        return read.driver(opened), read.count(opened)


def _gpu(index: int, library: Any) -> Gpu:
    with nvml.session(library) as opened:
        return read.gpu(opened, index)


def _gpus(count: int, timeout_seconds: float, library: Any) -> list[Gpu]:
    """All at once: eight GPUs that hang cost one deadline, not eight."""
    deadline = time.monotonic() + timeout_seconds
    children = [child.start(functools.partial(_gpu, index, library), f"GPU {index}") for index in range(count)]
    return [_answer(index, started, deadline) for index, started in enumerate(children)]


def _answer(index: int, started: child.Child[Gpu], deadline: float) -> Gpu:
    try:
        return child.result(started, deadline)
    except child.DeadlineError as error:
        return Gpu(index, error=Failure("Timeout", error.message, error.remedy))
    except nvml.NvmlError as error:
        return Gpu(index, error=Failure(error.code, error.message, error.remedy))
    except GroundworkError as error:
        return Gpu(index, error=Failure("Failed", error.message, error.remedy))


def complete(gpus: Iterable[Gpu], devices: Iterable[PciDevice]) -> list[Gpu]:
    """Add what sysfs knows: NUMA nodes, and the place of the one GPU that does not tell its own.

    The driver numbers GPUs in the order of their bus ids, but leaves out those it does not drive; so a silent GPU's
    place is certain only where it is the single one left over.
    """
    found = list(gpus)
    by_bus_id = {device.bus_id: device for device in devices if device.kind == "gpu"}
    told = {gpu.pci.bus_id for gpu in found if gpu.pci}
    left = [bus_id for bus_id in by_bus_id if bus_id not in told]
    silent = [gpu for gpu in found if gpu.pci is None]
    place = Pci(left[0]) if len(left) == len(silent) == 1 else None
    return [_with_sysfs(gpu, gpu.pci or place, by_bus_id) for gpu in found]


def _with_sysfs(gpu: Gpu, place: Pci | None, devices: dict[str, PciDevice]) -> Gpu:
    device = devices.get(place.bus_id) if place and place.bus_id else None
    if place is None or device is None:
        return dataclasses.replace(gpu, pci=place)
    return dataclasses.replace(
        gpu,
        pci=dataclasses.replace(
            place,
            numa_node=device.numa_node,
            device_id=place.device_id or device.device_id,
            subsystem_id=place.subsystem_id or device.subsystem_id,
        ),
    )
