"""The steps of a plan, taken through NVML. A step that fails takes those before it back, so that its GPU is as it was.

NVML has no transaction: what could not be taken back is told to the last step.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.groundwork import child
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import nvml
from ansible.module_utils.groundwork.gpu.mig import observe
from ansible.module_utils.groundwork.gpu.mig.model import Action, Create, Destroy, Placement, Plan, SetMode
from ansible.module_utils.groundwork.gpu.mig.plan import names, users
from ansible.module_utils.groundwork.gpu.nvml import Nvml, NvmlError


@dataclass(frozen=True)
class Taken:
    """A step that was taken, and the way back. `waits` says why it takes effect at a reset alone, "" where it has."""

    action: Action
    back: Callable[[], None]
    waits: str = ""


def apply(plan: Plan, timeout_seconds: float, library: Any = None) -> str:
    """Take the steps for one GPU, in a child under a deadline.

    Returns why the change of mode waits for a reset, in NVML's words; "" where nothing waits.

    Raises GroundworkError, with the GPU, the step and the remedy, where a step fails, and says what was taken back. A
    GPU that gives no answer in time is left where it is, and the step named.
    """
    if not plan.actions:
        return ""
    step = mmap.mmap(-1, 1)  # shared with the child: how many steps it has taken
    try:
        return child.call(lambda: _apply(plan, step, library), timeout_seconds, str(plan.card))
    except child.DeadlineError as error:
        raise GroundworkError(f"{error.message} {_reached(plan, step[0])}", error.remedy) from None


def apply_all(plans: Iterable[Plan], timeout_seconds: float, library: Any = None) -> list[tuple[Plan, str]]:
    """Take the steps for every GPU, one after the other; those whose mode waits for a reset, each with the reason.

    Raises GroundworkError where a step fails; GPUs before that one have their layout, and are named.
    """
    changed: list[Plan] = []
    waits: list[tuple[Plan, str]] = []
    for plan in plans:
        try:
            reason = apply(plan, timeout_seconds, library)
        except GroundworkError as error:
            before = f"; changed before it: {', '.join(str(each.card) for each in changed)}" if changed else ""
            raise GroundworkError(f"{error.message}{before}", error.remedy) from None
        changed += [plan] if plan.actions else []
        waits += [(plan, reason)] if reason else []
    return waits


def _apply(plan: Plan, step: mmap.mmap, library: Any) -> str:
    with nvml.session(library) as opened:
        taken: list[Taken] = []
        for action in plan.actions:
            try:
                taken.append(_take(opened, plan.card.uuid, action))
            except GroundworkError as error:
                raise _failure(plan, action, error, _back(taken)) from None
            if taken[-1].waits:  # what comes after needs the mode
                return taken[-1].waits
            step[0] += 1
    return ""


def _take(opened: Nvml, uuid: str, action: Action) -> Taken:
    if isinstance(action, SetMode):
        return _set_mode(opened, uuid, action)
    return _destroy(opened, uuid, action) if isinstance(action, Destroy) else _create(opened, uuid, action)


def _handle(opened: Nvml, uuid: str) -> object:
    """Anew each time: a change of mode may reset the GPU."""
    return opened.change("DeviceGetHandleByUUID", uuid)


def _set_mode(opened: Nvml, uuid: str, action: SetMode) -> Taken:
    """NVML says whether it took effect apart from whether it was accepted."""
    before, pending = opened.change("DeviceGetMigMode", _handle(opened, uuid))

    def change(enabled: bool) -> str:
        status = opened.change("DeviceSetMigMode", _handle(opened, uuid), int(enabled))
        return str(opened.ask("ErrorString", status)) if status else ""

    def current() -> int:
        return int(opened.change("DeviceGetMigMode", _handle(opened, uuid))[0])

    def back() -> None:
        waits = change(bool(pending if current() == before else before))
        if current() != before:
            raise GroundworkError(f"the mode goes back at the next reset: {waits}", nvml.REMEDIES["ResetRequired"])

    return Taken(action, back, change(action.enabled))


def _destroy(opened: Nvml, uuid: str, action: Destroy) -> Taken:
    instance = opened.change("DeviceGetGpuInstanceById", _handle(opened, uuid), action.instance.id)
    profile = opened.change("GpuInstanceGetInfo", instance).profileId
    gone: list[int] = []
    try:
        for part, part_profile in list(_parts(opened, instance)):
            opened.change("ComputeInstanceDestroy", part)
            gone.append(part_profile)
        opened.change("GpuInstanceDestroy", instance)
    except NvmlError as error:
        _repair(lambda: _fill(opened, instance, gone), error, f"its compute instances are gone ({len(gone)})")
        raise

    def back() -> None:
        _make(opened, uuid, profile, action.instance.placement, lambda _: gone)

    return Taken(action, back)


def _create(opened: Nvml, uuid: str, action: Create) -> Taken:
    def whole(instance: object) -> list[int]:
        slices = action.profile.slices
        found = [one.id for one in observe.compute_profiles(opened, instance) if one.sliceCount == slices]
        if not found:
            raise GroundworkError(f"{action.profile.name} has no compute profile for all of it", nvml.OTHERWISE)
        return found[:1]

    made = _make(opened, uuid, action.profile.id, action.placement, whole)
    number = opened.change("GpuInstanceGetInfo", made).id

    def back() -> None:
        _unmake(opened, opened.change("DeviceGetGpuInstanceById", _handle(opened, uuid), number))

    return Taken(action, back)


def _make(
    opened: Nvml, uuid: str, profile: int, placement: Placement, parts: Callable[[object], Sequence[int]]
) -> object:
    """A GPU instance with compute instances of those profiles; neither where one of them fails."""
    place = opened.structure("c_nvmlGpuInstancePlacement_t", start=placement.start, size=placement.size)
    instance = opened.change("DeviceCreateGpuInstanceWithPlacement", _handle(opened, uuid), profile, place)
    try:
        _fill(opened, instance, parts(instance))
    except GroundworkError as error:
        _repair(lambda: _unmake(opened, instance), error, f"a half-made instance is left at {placement}")
        raise
    return instance


def _fill(opened: Nvml, instance: object, profiles: Iterable[int]) -> None:
    for profile in profiles:
        opened.change("GpuInstanceCreateComputeInstance", instance, profile)


def _unmake(opened: Nvml, instance: object) -> None:
    for part, _ in list(_parts(opened, instance)):
        opened.change("ComputeInstanceDestroy", part)
    opened.change("GpuInstanceDestroy", instance)


def _repair(work: Callable[[], None], error: GroundworkError, otherwise: str) -> None:
    """Mend a step that failed half-way.

    Raises GroundworkError, for both, where that fails too.
    """
    try:
        work()
    except GroundworkError as second:
        raise GroundworkError(f"{error.message}, and {otherwise}: {second.message}", error.remedy) from None


def _parts(opened: Nvml, instance: object) -> Iterable[tuple[object, int]]:
    """The compute instances of a GPU instance, each with its profile."""
    for part, _, _ in observe.compute_instances(opened, instance):
        yield part, opened.change("ComputeInstanceGetInfo_v2", part).profileId


def _back(taken: Sequence[Taken]) -> str:
    """Take steps back, the last one first; what came of it, in words."""
    undone: list[str] = []
    for step in reversed(taken):
        try:
            step.back()
        except GroundworkError as error:  # the steps before it need what this one leaves
            left = ", ".join(str(each.action) for each in taken[: len(taken) - len(undone)])
            told = f"; taken back: {', '.join(undone)}" if undone else ""
            return f"{told}; these steps stay, since the last of them could not be taken back ({error.message}): {left}"
        undone.append(str(step.action))
    return f"; taken back: {', '.join(undone)}" if undone else "; nothing was changed on it"


def _failure(plan: Plan, action: Action, error: GroundworkError, undone: str) -> GroundworkError:
    in_use = isinstance(error, NvmlError) and error.code == "InUse"
    disturbed = users(plan.card, action) if in_use else []
    used = f"; used by {names(disturbed)}" if disturbed else ""
    return GroundworkError(f"{plan.card}: cannot {action}: {error.message}{used}{undone}", error.remedy)


def _reached(plan: Plan, taken: int) -> str:
    done = ", ".join(map(str, plan.actions[:taken])) or "none"
    return f"while it should {plan.actions[min(taken, len(plan.actions) - 1)]}; steps done before: {done}"
