"""A driver with MIG in memory, behind pynvml's functions; it refuses as NVML does, and on demand at any change."""

from __future__ import annotations

import ctypes
import itertools
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pynvml
from ansible.module_utils.groundwork.gpu.mig.model import MIG_ENABLED, Card, Placement, Profile

IN_USE, RESET_REQUIRED = pynvml.NVML_ERROR_IN_USE, pynvml.NVML_ERROR_RESET_REQUIRED
NO_RESOURCES = pynvml.NVML_ERROR_INSUFFICIENT_RESOURCES
Shape = tuple[bool, bool, tuple[tuple[str, int, tuple[int, ...]], ...]]
"""Mode, pending mode, and of each instance the profile, where it lies and the slices of its compute instances."""


@dataclass
class Part:
    """A compute instance."""

    number: int
    slices: int


@dataclass
class Made:
    """A GPU instance."""

    number: int
    profile: Profile
    place: Placement
    parts: list[Part] = field(default_factory=list)


@dataclass
class Device:
    """A GPU; `reset_required`: a change of its mode waits."""

    index: int
    profiles: tuple[Profile, ...]
    mode: bool = False
    pending: bool = False
    instances: list[Made] = field(default_factory=list)
    processes: list[SimpleNamespace] = field(default_factory=list)
    reset_required: bool = False

    @property
    def shape(self) -> Shape:
        """What a person would see of it."""
        found = (
            (one.profile.name, one.place.start, tuple(part.slices for part in one.parts)) for one in self.instances
        )
        return self.mode, self.pending, tuple(sorted(found))


class FakeMig:
    """A pynvml with its own constants and errors.

    fail  which changes are refused, counted from 0, each with the code; changes are what NVML needs root for
    """

    NVMLError = pynvml.NVMLError

    def __init__(self, *devices: Device) -> None:
        self.devices = devices
        self.numbers = itertools.count(50)
        self.fail: dict[int, int] = {}
        self.changes = 0
        self.log: list[str] = []

    def __getattr__(self, name: str) -> Any:
        """Functions by NVML's names are methods here by Python's; handles are objects."""
        if name.startswith("nvml"):
            return object.__getattribute__(self, re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name[4:]).lower())
        if name in ("c_nvmlGpuInstance_t", "c_nvmlComputeInstance_t"):
            return ctypes.py_object
        if name.startswith(("NVML_", "c_nvml")):
            return getattr(pynvml, name)
        raise AttributeError(name)

    def _change(self, what: str) -> None:
        number, self.changes = self.changes, self.changes + 1
        self.log.append(what)
        if number in self.fail:
            raise pynvml.NVMLError(self.fail[number])

    def _answer(self, into: Any, count: Any, found: Iterable[object]) -> object:
        listed = list(found)
        into[: len(listed)] = listed
        count._obj.value = len(listed)
        return into

    # what the driver knows

    def init(self) -> None: ...

    def shutdown(self) -> None: ...

    def error_string(self, code: int) -> str:
        return {IN_USE: "In use by another client", RESET_REQUIRED: "GPU requires reset"}[code]

    def device_get_count(self) -> int:
        return len(self.devices)

    def device_get_handle_by_index(self, index: int) -> Device:
        return self.devices[index]

    def device_get_handle_by_uuid(self, uuid: str) -> Device:
        return next(device for device in self.devices if self.device_get_uuid(device) == uuid)

    def device_get_uuid(self, handle: Device | tuple[Made, Part]) -> str:
        return f"GPU-{handle.index}" if isinstance(handle, Device) else f"MIG-{handle[0].number}-{handle[1].number}"

    def device_get_name(self, handle: Device | tuple[Made, Part]) -> str:
        return "NVIDIA H100" if isinstance(handle, Device) else f"NVIDIA H100 MIG {handle[0].profile.name}"

    def device_get_pci_info_v3(self, _device: Device) -> SimpleNamespace:
        return SimpleNamespace(pciDeviceId=0x233010DE)

    def device_get_memory_info(self, _handle: object, **_options: int) -> None:
        return None

    def device_get_compute_running_processes(self, device: Device) -> list[SimpleNamespace]:
        return device.processes

    # mode

    def device_get_mig_mode(self, device: Device) -> tuple[int, int]:
        if not device.profiles:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return int(device.mode), int(device.pending)

    def device_set_mig_mode(self, device: Device, enabled: int) -> int:
        self._change(f"mode {enabled}")
        device.pending = bool(enabled)
        if device.mode == device.pending:
            return 0
        if device.processes or device.instances:
            return int(IN_USE)
        if device.reset_required:
            return int(RESET_REQUIRED)
        device.mode = device.pending
        return 0

    # profiles and GPU instances

    def device_get_gpu_instance_profile_info(self, device: Device, number: int) -> SimpleNamespace:
        if number >= len(device.profiles):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        found = device.profiles[number]
        return SimpleNamespace(
            id=found.id, name=f"MIG {found.name}", sliceCount=found.slices, instanceCount=found.max_count
        )

    def device_get_gpu_instance_possible_placements(self, device: Device, number: int, into: Any, count: Any) -> object:
        return self._answer(into, count, map(self._place, _profile(device, number).placements))

    def device_get_gpu_instances(self, device: Device, number: int, into: Any, count: Any) -> object:
        return self._answer(into, count, (one for one in device.instances if one.profile.id == number))

    def device_get_gpu_instance_by_id(self, device: Device, number: int) -> Made:
        return next(one for one in device.instances if one.number == number)

    def gpu_instance_get_info(self, made: Made) -> SimpleNamespace:
        return SimpleNamespace(id=made.number, profileId=made.profile.id, placement=self._place(made.place))

    def device_create_gpu_instance_with_placement(self, device: Device, number: int, place: Any) -> Made:
        self._change(f"create {number}")
        profile = _profile(device, number)
        wanted = Placement(place.contents.start, place.contents.size)
        same = Counter(one.profile.id for one in device.instances)[number]
        if not device.mode or wanted not in profile.placements:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        if same >= profile.max_count or any(wanted.overlaps(one.place) for one in device.instances):
            raise pynvml.NVMLError(NO_RESOURCES)
        device.instances.append(Made(next(self.numbers), profile, wanted))
        return device.instances[-1]

    def gpu_instance_destroy(self, made: Made) -> None:
        self._change("destroy")
        device = next(device for device in self.devices if made in device.instances)
        if made.parts or any(one.gpuInstanceId == made.number for one in device.processes):
            raise pynvml.NVMLError(IN_USE)
        device.instances.remove(made)

    # compute instances: a profile's id is its slices

    def gpu_instance_get_compute_instance_profile_info(self, made: Made, number: int, _engine: int) -> SimpleNamespace:
        if number >= made.profile.slices:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return SimpleNamespace(id=number + 1, sliceCount=number + 1, instanceCount=made.profile.slices // (number + 1))

    def gpu_instance_get_compute_instances(self, made: Made, number: int, into: Any, count: Any) -> object:
        return self._answer(into, count, ((made, part) for part in made.parts if part.slices == number))

    def compute_instance_get_info_v2(self, handle: tuple[Made, Part]) -> SimpleNamespace:
        return SimpleNamespace(id=handle[1].number, profileId=handle[1].slices)

    def gpu_instance_create_compute_instance(self, made: Made, number: int) -> tuple[Made, Part]:
        self._change(f"create part {number}")
        if sum(part.slices for part in made.parts) + number > made.profile.slices:
            raise pynvml.NVMLError(NO_RESOURCES)
        used = {part.number for part in made.parts}
        made.parts.append(Part(next(one for one in itertools.count() if one not in used), number))
        return made, made.parts[-1]

    def compute_instance_destroy(self, handle: tuple[Made, Part]) -> None:
        self._change("destroy part")
        made, part = handle
        device = next(device for device in self.devices if made in device.instances)
        if any((one.gpuInstanceId, one.computeInstanceId) == (made.number, part.number) for one in device.processes):
            raise pynvml.NVMLError(IN_USE)
        made.parts.remove(part)

    # MIG devices

    def device_get_max_mig_device_count(self, device: Device) -> int:
        return len(self._parts(device))

    def device_get_mig_device_handle_by_index(self, device: Device, index: int) -> tuple[Made, Part]:
        return self._parts(device)[index]

    def device_get_gpu_instance_id(self, handle: tuple[Made, Part]) -> int:
        return handle[0].number

    def device_get_compute_instance_id(self, handle: tuple[Made, Part]) -> int:
        return handle[1].number

    def _parts(self, device: Device) -> list[tuple[Made, Part]]:
        return [(made, part) for made in device.instances for part in made.parts]

    def _place(self, place: Placement) -> Any:
        return pynvml.c_nvmlGpuInstancePlacement_t(place.start, place.size)


def device(card: Card, index: int = 0) -> Device:
    """A driver's GPU in the state of a card; what is no whole instance of it has one slice less, or no compute."""
    by_name = {profile.name: profile for profile in card.profiles}
    made = Device(index, card.profiles, card.mode_current == MIG_ENABLED, card.mode_pending == MIG_ENABLED)
    for one in card.instances:
        profile = by_name[one.profile]
        slices = profile.slices if one.whole else profile.slices - 1
        parts = [Part(0, slices)] if slices else []
        made.instances.append(Made(one.id or 0, profile, one.placement, parts))
    made.processes = [
        SimpleNamespace(pid=one.pid, usedGpuMemory=0, gpuInstanceId=one.gpu_instance_id, computeInstanceId=0)
        for one in card.processes
    ]
    return made


def _profile(device: Device, number: int) -> Profile:
    return next(profile for profile in device.profiles if profile.id == number)
