"""The settings of a host's GPUs as NVML tells them, each GPU in a child of its own under one deadline.

https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.groundwork import child
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import nvml, read
from ansible.module_utils.groundwork.gpu.model import Failure
from ansible.module_utils.groundwork.gpu.nvml import Nvml, NvmlError
from ansible.module_utils.groundwork.gpu.observe import NvmlState
from ansible.module_utils.groundwork.gpu.settings.locks import DOMAINS, Locks
from ansible.module_utils.groundwork.gpu.settings.model import FREE, Card, Clocks, Settings


@dataclass(frozen=True)
class Host:
    """A host's GPUs in the driver's order, or why NVML does not answer."""

    nvml: NvmlState
    cards: tuple[Card, ...] = ()


def observe(timeout_seconds: float, locks: Locks, library: Any = None) -> Host:
    """Observe every GPU of this host; one that does not answer in time has an error.

    locks    what we locked clocks to
    library  stands in for pynvml in tests
    """
    try:
        count = child.call(lambda: _count(library), timeout_seconds, "the NVIDIA driver")
    except GroundworkError as error:
        return Host(NvmlState(False, error.message, error.remedy))
    deadline = time.monotonic() + timeout_seconds
    children = [child.start(functools.partial(_card, index, locks, library), f"GPU {index}") for index in range(count)]
    return Host(NvmlState(True), tuple(_answer(index, started, deadline) for index, started in enumerate(children)))


def card(opened: Nvml, index: int, locks: Locks) -> Card:
    """One GPU.

    Raises NvmlError where it does not answer.
    """
    handle = opened.ask("DeviceGetHandleByIndex", index)
    uuid = opened.ask("DeviceGetUUID", handle)
    ecc = opened.ask("DeviceGetEccMode", handle) or (None, None)
    low, high = opened.ask("DeviceGetPowerManagementLimitConstraints", handle) or (None, None)
    return Card(
        index=index,
        uuid=uuid,
        name=opened.ask("DeviceGetName", handle),
        settings=_settings(opened, handle, ecc[0], locks.get(uuid, {})),
        ecc_pending=_truth(ecc[1]),
        ecc_default=_truth((opened.ask("DeviceGetDefaultEccMode", handle) or [None])[0]),
        power_min_watts=_watts(low),
        power_max_watts=_watts(high),
        power_default_watts=_watts(opened.ask("DeviceGetPowerManagementDefaultLimit", handle)),
        clocks=_clocks(opened, handle),
        architecture=opened.ask("DeviceGetArchitecture", handle),
        mig_enabled=bool((opened.ask("DeviceGetMigMode", handle) or [0])[0]),
        processes=tuple(read.processes(opened, handle)),
    )


def _settings(opened: Nvml, handle: object, ecc: int | None, locks: Mapping[str, Clocks]) -> Settings:
    graphics, memory = (locks.get(name, FREE) for name in DOMAINS)
    return Settings(
        persistence_mode=_truth(opened.ask("DeviceGetPersistenceMode", handle)),
        power_limit_watts=_watts(opened.ask("DeviceGetPowerManagementLimit", handle)),
        locked_graphics_clocks_mhz=graphics,
        locked_memory_clocks_mhz=memory,
        compute_mode=read.COMPUTE_MODES.get(opened.ask("DeviceGetComputeMode", handle)),
        ecc=_truth(ecc),
    )


def _clocks(opened: Nvml, handle: object) -> tuple[tuple[int, Clocks], ...]:
    memory = opened.ask("DeviceGetSupportedMemoryClocks", handle) or ()
    return tuple((one, tuple(opened.ask("DeviceGetSupportedGraphicsClocks", handle, one) or ())) for one in memory)


def _count(library: Any) -> int:
    with nvml.session(library) as opened:
        return read.count(opened)


def _card(index: int, locks: Locks, library: Any) -> Card:
    with nvml.session(library) as opened:
        return card(opened, index, locks)


def _answer(index: int, started: child.Child[Card], deadline: float) -> Card:
    try:
        return child.result(started, deadline)
    except GroundworkError as error:
        code = error.code if isinstance(error, NvmlError) else "Failed"
        return Card(index, error=Failure(code, error.message, error.remedy))


def _truth(flag: int | None) -> bool | None:
    return None if flag is None else bool(flag)


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000
