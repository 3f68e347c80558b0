"""A host's settings, as declared: observe, plan, apply, and what there is to tell of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu.settings import config, locks
from ansible.module_utils.groundwork.gpu.settings.apply import apply
from ansible.module_utils.groundwork.gpu.settings.model import NAMES, Card, Plan, Wanted, text, to_dict
from ansible.module_utils.groundwork.gpu.settings.observe import Host, observe
from ansible.module_utils.groundwork.gpu.settings.plan import forecast, plan_all, waits

RESET = "ECC changes at the next reset or reboot"


def declare(
    settings: Mapping[str, Any],
    allow_disruption: bool,
    timeout_seconds: float,
    change: bool,
    only: Collection[str] = NAMES,
    restore: bool = False,
    pass_by_silent: bool = False,
    library: Any = None,
) -> dict[str, Any]:
    """Set a host's GPUs to what is declared, or without `change` tell what would be done.

    settings        as config.read takes it
    only            the settings that are changed; all are judged
    restore         what is declared goes back to the cards' own defaults
    pass_by_silent  a GPU that does not answer keeps no other from its settings; it is told at the end
    library         stands in for pynvml in tests

    Returns what module nvidia_gpu_settings returns.

    Raises GroundworkError where a setting cannot be, or a step fails; what the others needed is done by then.
    """
    wanted = config.read(settings, restore)
    host = observe(timeout_seconds, locks.read(), library)
    if not host.nvml.available:
        return _not_yet(host, wanted, change)
    plans = plan_all(host.cards, wanted, allow_disruption, only, pass_by_silent)
    if not change:
        return _told(plans, tuple(forecast(plan.card, plan.actions) for plan in plans), only)
    _change(plans, timeout_seconds, library)
    after = observe(timeout_seconds, locks.read(), library).cards if any(plan.actions for plan in plans) else host.cards
    return _told(plans, after, only)


def _change(plans: Sequence[Plan], timeout_seconds: float, library: Any) -> None:
    """Take the steps, and keep account of the locks that were set.

    Raises GroundworkError with every GPU that failed or does not answer.
    """
    done = apply(plans, timeout_seconds, library)
    _account([plan for plan, error in done if error is None])
    errors = [error for _, error in done if error] + [error for plan in plans if (error := _silent(plan))]
    if errors:
        remedies = dict.fromkeys(error.remedy for error in errors)
        raise GroundworkError("; ".join(error.message for error in errors), " ".join(remedies))


def _silent(plan: Plan) -> GroundworkError | None:
    error = plan.card.error if plan.wanted.declared() else None
    return GroundworkError(f"{plan.card} does not answer: {error.message}", error.remedy) if error else None


def _account(plans: Sequence[Plan]) -> None:
    set_now = {plan.card.uuid: {step.setting: step.value for step in plan.actions if step.setting in locks.DOMAINS}
               for plan in plans}  # fmt: skip
    if any(set_now.values()):
        known = locks.read()
        locks.write({uuid: {**known.get(uuid, {}), **set_now.get(uuid, {})} for uuid in {*known, *set_now}})


def _told(plans: Sequence[Plan], after: Sequence[Card], only: Collection[str]) -> dict[str, Any]:
    """A change is what is different now, and what waits for a reset."""
    before = tuple(plan.card for plan in plans)
    waiting = [plan.card.uuid for plan in plans if "ecc" in only and waits(plan)]
    return {
        "changed": any(plan.actions for plan in plans),
        "actions": [f"{plan.card}: {action}" for plan in plans for action in plan.actions],
        "before": [to_dict(card) for card in before],
        "after": [to_dict(card) for card in after],
        "reset_required": [{"gpu": uuid, "reason": RESET} for uuid in waiting],
        "nvml": {"available": True, "reason": None, "remedy": None},
        "diff": {"before": text(before), "after": text(after)},
    }


def _not_yet(host: Host, wanted: Wanted, change: bool) -> dict[str, Any]:
    """In check mode on a fresh host the driver is still to come."""
    nothing = not wanted.settings.declared() and not wanted.overrides
    if change:
        raise GroundworkError(str(host.nvml.reason), str(host.nvml.remedy))
    return {
        "changed": not nothing,
        "actions": [] if nothing else ["apply the settings, once the driver answers"],
        "before": [],
        "after": [],
        "reset_required": [],
        "nvml": {"available": False, "reason": host.nvml.reason, "remedy": host.nvml.remedy},
        "diff": {"before": "", "after": "" if nothing else "settings as declared, if the GPUs can have them\n"},
    }
