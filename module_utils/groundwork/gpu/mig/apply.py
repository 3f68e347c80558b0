"""The steps of a plan, taken through NVML."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.groundwork import child
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import nvml
from ansible.module_utils.groundwork.gpu.mig import observe
from ansible.module_utils.groundwork.gpu.mig.model import Action, Create, Destroy, Plan, SetMode
from ansible.module_utils.groundwork.gpu.mig.plan import names, users
from ansible.module_utils.groundwork.gpu.nvml import Nvml, NvmlError


def apply(plan: Plan, timeout_seconds: float, library: Any = None) -> str:
    """Take the steps for one GPU, in a child under a deadline.

    Returns why the change of mode waits for a reset, in NVML's words; "" where nothing waits.

    Raises GroundworkError, with the GPU, the step and the remedy, where a step fails; the steps before it stay done.
    """
    if not plan.actions:
        return ""
    return child.call(lambda: _apply(plan, library), timeout_seconds, str(plan.card))


def _apply(plan: Plan, library: Any) -> str:
    with nvml.session(library) as opened:
        for action in plan.actions:
            try:
                waits = _take(opened, plan.card.uuid, action)
            except NvmlError as error:
                disturbed = users(plan.card, action) if error.code == "InUse" else []
                used = f"; used by {names(disturbed)}" if disturbed else ""
                raise GroundworkError(f"{plan.card}: cannot {action}: {error.message}{used}", error.remedy) from None
            if waits:  # what comes after needs the mode
                return waits
    return ""


def _take(opened: Nvml, uuid: str, action: Action) -> str:
    handle = opened.change("DeviceGetHandleByUUID", uuid)  # anew each time: a change of mode may reset the GPU
    if isinstance(action, SetMode):
        return _set_mode(opened, handle, action)
    if isinstance(action, Destroy):
        _destroy(opened, handle, action)
    else:
        _create(opened, handle, action)
    return ""


def _set_mode(opened: Nvml, handle: object, action: SetMode) -> str:
    """NVML says whether it took effect apart from whether it was accepted."""
    status = opened.change("DeviceSetMigMode", handle, int(action.enabled))
    return str(opened.ask("ErrorString", status)) if status else ""


def _destroy(opened: Nvml, handle: object, action: Destroy) -> None:
    instance = opened.change("DeviceGetGpuInstanceById", handle, action.instance.id)
    for part, _, _ in list(observe.compute_instances(opened, instance)):
        opened.change("ComputeInstanceDestroy", part)
    opened.change("GpuInstanceDestroy", instance)


def _create(opened: Nvml, handle: object, action: Create) -> None:
    place = opened.structure("c_nvmlGpuInstancePlacement_t", start=action.placement.start, size=action.placement.size)
    instance = opened.change("DeviceCreateGpuInstanceWithPlacement", handle, action.profile.id, place)
    whole = next(
        (one for one in observe.compute_profiles(opened, instance) if one.sliceCount == action.profile.slices), None
    )
    if whole is None:
        raise GroundworkError(f"{action.profile.name} has no compute profile for all of it", nvml.OTHERWISE)
    opened.change("GpuInstanceCreateComputeInstance", instance, whole.id)
