"""All GPUs of this host, read in a child under a deadline, so that a lost or hanging GPU hides no other.

One child reads them one after the other, which costs the least. Where that does not end in good time, for a GPU that
hangs or kills its reader, they are read again by a child each.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.groundwork import child
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import kernel, links, nvml, pci, read
from ansible.module_utils.groundwork.gpu.model import Driver, Failure, Gpu, Pair, Pci, PciDevice

PATIENCE_SECONDS = 1.0
"""How long a GPU may keep the others waiting; a healthy one takes some milliseconds."""


@dataclass(frozen=True)
class NvmlState:
    """Whether NVML answers; if not, why, and what to do."""

    available: bool
    reason: str | None = None
    remedy: str | None = None


@dataclass(frozen=True)
class Host:
    """What a host's GPUs, driver and PCI tree say."""

    driver: Driver
    nvml: NvmlState
    gpus: tuple[Gpu, ...]
    pci_devices: tuple[PciDevice, ...]
    topology: tuple[Pair, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The return shape of module nvidia_gpu_info."""
        return {**_plain(self), "resources": resources(self.gpus)}


def _plain(value: Any) -> Any:
    """As dataclasses.asdict, without its copies: there are thousands of values on a host of eight GPUs."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if dataclasses.is_dataclass(value):
        return {name: _plain(each) for name, each in vars(value).items()}
    return value


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
    """Observe this host within about `timeout_seconds`, twice that where the driver itself is slow.

    library  stands in for pynvml in tests
    """
    devices = pci.observe()
    with child.ended(child.stream(lambda: _parts(library), "the NVIDIA driver")) as look:
        try:
            driver, count = child.part(look, time.monotonic() + timeout_seconds)
        except GroundworkError as error:
            module_version, is_open = kernel.observe()
            driver = Driver(kernel_module_version=module_version, kernel_module_is_open=is_open)
            return Host(driver, NvmlState(False, error.message, error.remedy), (), devices)
        deadline = time.monotonic() + timeout_seconds
        gpus, paths = _in_turn(look, min(PATIENCE_SECONDS * (1 + count), timeout_seconds / 4)) or ([], {})
    if len(gpus) < count:
        gpus = _apart(range(count), deadline, library)
        paths = _paths_apart(gpus, deadline, library)
    gpus = complete(gpus, devices)
    return Host(driver, NvmlState(True), tuple(gpus), devices, links.pairs(gpus, paths))


def _parts(library: Any) -> Iterator[Any]:
    """What one child sends: the driver and how many GPUs it has, and then, if none hangs, all GPUs and their paths."""
    with nvml.session(library) as opened:
        count = read.count(opened)
        yield read.driver(opened), count
        gpus = [read.gpu(opened, index) for index in range(count)]
        yield gpus, _paths(opened, gpus)


def _in_turn(look: child.Child[Any], patience_seconds: float) -> tuple[list[Gpu], links.Paths] | None:
    """All GPUs as they were read one after the other; None where one keeps the others waiting, or kills the reader."""
    try:
        found: tuple[list[Gpu], links.Paths] = child.part(look, time.monotonic() + patience_seconds)
    except GroundworkError:
        return None
    return found


def _apart(indices: Iterable[int], deadline: float, library: Any) -> list[Gpu]:
    """GPUs, each in a child of its own and all at once: eight that hang cost one deadline, not eight."""
    children = [(index, child.start(functools.partial(_gpu, index, library), f"GPU {index}")) for index in indices]
    return [_answer(index, started, deadline) for index, started in children]


def _gpu(index: int, library: Any) -> Gpu:
    with nvml.session(library) as opened:
        return read.gpu(opened, index)


def _answer(index: int, started: child.Child[Gpu], deadline: float) -> Gpu:
    try:
        return child.result(started, deadline)
    except child.DeadlineError as error:
        return Gpu(index, error=Failure("Timeout", error.message, error.remedy))
    except nvml.NvmlError as error:
        return Gpu(index, error=Failure(error.code, error.message, error.remedy))
    except GroundworkError as error:
        return Gpu(index, error=Failure("Failed", error.message, error.remedy))


def _paths_apart(gpus: Iterable[Gpu], deadline: float, library: Any) -> links.Paths:
    def work() -> links.Paths:
        with nvml.session(library) as opened:
            return _paths(opened, gpus)

    try:
        return child.result(child.start(work, "the GPUs' topology"), deadline + PATIENCE_SECONDS)
    except GroundworkError:  # another GPU was lost just now: the next look tells
        return {}


def _paths(opened: nvml.Nvml, gpus: Iterable[Gpu]) -> links.Paths:
    """Between GPUs that answer: a handle of another might not come back."""
    try:
        return links.paths(opened, [gpu.index for gpu in gpus if not gpu.error])
    except nvml.NvmlError:  # one of them was lost just now: the next look tells
        return {}


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
            cpu_affinity=device.cpu_affinity,
            device_id=place.device_id or device.device_id,
            subsystem_id=place.subsystem_id or device.subsystem_id,
        ),
    )
