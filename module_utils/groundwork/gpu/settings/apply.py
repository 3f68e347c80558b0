"""The steps of a plan, taken through NVML."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from typing import Any

from ansible.module_utils.groundwork import child
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import nvml
from ansible.module_utils.groundwork.gpu.nvml import Nvml, NvmlError
from ansible.module_utils.groundwork.gpu.read import COMPUTE_MODES
from ansible.module_utils.groundwork.gpu.settings.model import Change, Plan
from ansible.module_utils.groundwork.gpu.settings.plan import names

MODE_NUMBERS = {name: number for number, name in COMPUTE_MODES.items()}
LOCKS = {"locked_graphics_clocks_mhz": "GpuLockedClocks", "locked_memory_clocks_mhz": "MemoryLockedClocks"}


def apply(
    plans: Sequence[Plan], timeout_seconds: float, library: Any = None
) -> list[tuple[Plan, GroundworkError | None]]:
    """Take the steps for all GPUs, each in a child, under one deadline; what became of each, in order.

    The error of a GPU names it, the step and the remedy; the steps before it stay done, and other GPUs get theirs.
    """
    deadline = time.monotonic() + timeout_seconds
    busy = [plan for plan in plans if plan.actions or plan.again]
    children = [child.start(functools.partial(_apply, plan, library), str(plan.card)) for plan in busy]
    return [(plan, _failure(started, deadline)) for plan, started in zip(busy, children, strict=True)]


def _failure(started: child.Child[None], deadline: float) -> GroundworkError | None:
    try:
        child.result(started, deadline)
    except GroundworkError as error:
        return error
    return None


def _apply(plan: Plan, library: Any) -> None:
    with nvml.session(library) as opened:
        for change in (*plan.actions, *plan.again):
            try:
                _take(opened, plan.card.uuid, change)
            except NvmlError as error:
                used = f"; used by {names(plan.card.processes)}" if error.code == "InUse" else ""
                raise GroundworkError(f"{plan.card}: cannot {change}: {error.message}{used}", error.remedy) from None


def _take(opened: Nvml, uuid: str, change: Change) -> None:
    """The handle is looked up for each: turning persistence mode off may end it."""
    handle = opened.change("DeviceGetHandleByUUID", uuid)
    value = change.value
    if change.setting in LOCKS:
        verb = "Set" if value else "Reset"
        opened.change(f"Device{verb}{LOCKS[change.setting]}", handle, *value)
    elif change.setting == "power_limit_watts":
        opened.change("DeviceSetPowerManagementLimit", handle, round(value * 1000))
    elif change.setting == "compute_mode":
        opened.change("DeviceSetComputeMode", handle, MODE_NUMBERS[value])
    elif change.setting == "persistence_mode":
        opened.change("DeviceSetPersistenceMode", handle, int(value))
    else:
        opened.change("DeviceSetEccMode", handle, int(value))
