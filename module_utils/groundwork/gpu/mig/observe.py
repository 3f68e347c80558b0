"""The layout of a host's GPUs as NVML tells it, each GPU in a child of its own, so that one that hangs hides no other.

https://docs.nvidia.com/deploy/nvml-api/group__nvmlMultiInstanceGPU.html
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.groundwork import child
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import nvml, read
from ansible.module_utils.groundwork.gpu.mig.model import (
    MIG_DISABLED,
    MIG_ENABLED,
    Card,
    Instance,
    Placement,
    Profile,
)
from ansible.module_utils.groundwork.gpu.model import Failure, MigDevice
from ansible.module_utils.groundwork.gpu.nvml import Nvml, NvmlError
from ansible.module_utils.groundwork.gpu.observe import NvmlState

MODES = (MIG_DISABLED, MIG_ENABLED)
MAX_PROFILES = 64
"""More than any NVML knows; it says itself where they end."""
MAX_PLACEMENTS = 32
SHARED_ENGINES = 0
"""NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_SHARED, the only one."""


@dataclass(frozen=True)
class Host:
    """A host's GPUs in the driver's order, or why NVML does not answer."""

    nvml: NvmlState
    cards: tuple[Card, ...] = ()


def observe(timeout_seconds: float, library: Any = None) -> Host:
    """Observe every GPU of this host; one that does not answer in time has an error.

    library  stands in for pynvml in tests
    """
    try:
        count = child.call(lambda: _count(library), timeout_seconds, "the NVIDIA driver")
    except GroundworkError as error:
        return Host(NvmlState(False, error.message, error.remedy))
    deadline = time.monotonic() + timeout_seconds
    children = [child.start(functools.partial(_card, index, library), f"GPU {index}") for index in range(count)]
    return Host(NvmlState(True), tuple(_answer(index, started, deadline) for index, started in enumerate(children)))


def card(opened: Nvml, index: int) -> Card:
    """One GPU.

    Raises NvmlError where it does not answer.
    """
    handle = opened.ask("DeviceGetHandleByIndex", index)
    modes = opened.ask("DeviceGetMigMode", handle)
    current, pending = (MODES[mode] for mode in modes) if modes else (None, None)
    profiles = tuple(_profiles(opened, handle)) if modes else ()
    devices = tuple(read.mig_devices(opened, handle)) if current == MIG_ENABLED else ()
    return Card(
        index=index,
        uuid=opened.ask("DeviceGetUUID", handle),
        name=opened.ask("DeviceGetName", handle),
        device_id=f"0x{opened.ask('DeviceGetPciInfo_v3', handle).pciDeviceId:08X}",
        mode_current=current,
        mode_pending=pending,
        profiles=profiles,
        instances=tuple(_instances(opened, handle, profiles, devices)) if current == MIG_ENABLED else (),
        devices=tuple(device.uuid for device in devices),
        processes=tuple(read.processes(opened, handle)),
    )


def compute_instances(opened: Nvml, instance: object) -> Iterator[tuple[object, int, int]]:
    """The compute instances of a GPU instance: handle, id and compute slices of each."""
    for info in compute_profiles(opened, instance):
        arguments = ("c_nvmlComputeInstance_t", max(1, info.instanceCount), instance, info.id)
        for handle in opened.array("GpuInstanceGetComputeInstances", *arguments):
            yield handle, opened.ask("ComputeInstanceGetInfo_v2", handle).id, info.sliceCount


def compute_profiles(opened: Nvml, instance: object) -> Iterator[Any]:
    """What compute instances a GPU instance can have."""
    yield from _enumerated(opened, "GpuInstanceGetComputeInstanceProfileInfo", instance, SHARED_ENGINES)


def _count(library: Any) -> int:
    with nvml.session(library) as opened:
        return read.count(opened)


def _card(index: int, library: Any) -> Card:
    with nvml.session(library) as opened:
        return card(opened, index)


def _answer(index: int, started: child.Child[Card], deadline: float) -> Card:
    try:
        return child.result(started, deadline)
    except GroundworkError as error:
        code = error.code if isinstance(error, NvmlError) else "Failed"
        return Card(index, error=Failure(code, error.message, error.remedy))


def _enumerated(opened: Nvml, function: str, handle: object, *more: object) -> Iterator[Any]:
    """What there is of a kind; numbers that this GPU does not have are left out, the first unknown one is the end."""
    for number in range(MAX_PROFILES):
        try:
            info = opened.ask(function, handle, number, *more)
        except NvmlError as error:
            if error.code == "InvalidArgument":
                return
            raise
        if info is not None:
            yield info


def _profiles(opened: Nvml, handle: object) -> Iterator[Profile]:
    for info in _enumerated(opened, "DeviceGetGpuInstanceProfileInfo", handle):
        arguments = ("c_nvmlGpuInstancePlacement_t", MAX_PLACEMENTS, handle, info.id)
        places = opened.array("DeviceGetGpuInstancePossiblePlacements", *arguments)
        name = info.name.decode() if isinstance(info.name, bytes) else info.name
        placements = tuple(Placement(place.start, place.size) for place in places)
        yield Profile(info.id, name.removeprefix("MIG "), info.sliceCount, info.instanceCount, placements)


def _instances(
    opened: Nvml, handle: object, profiles: Iterable[Profile], devices: Iterable[MigDevice]
) -> Iterator[Instance]:
    uuids = {(device.gpu_instance_id, device.compute_instance_id): device.uuid for device in devices}
    for profile in profiles:
        arguments = ("c_nvmlGpuInstance_t", max(1, profile.max_count), handle, profile.id)
        for found in opened.array("DeviceGetGpuInstances", *arguments):
            info = opened.ask("GpuInstanceGetInfo", found)
            parts = [(number, slices) for _, number, slices in compute_instances(opened, found)]
            whole = [slices for _, slices in parts] == [profile.slices]
            place = Placement(info.placement.start, info.placement.size)
            uuid = uuids.get((info.id, parts[0][0])) if whole else None
            yield Instance(profile.name, place, info.id, uuid, whole)
