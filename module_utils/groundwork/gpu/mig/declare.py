"""A host's layout, as declared: observe, plan, apply, and what there is to tell of it."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu.mig.apply import apply_all
from ansible.module_utils.groundwork.gpu.mig.config import select
from ansible.module_utils.groundwork.gpu.mig.model import Card, Plan, text, to_dict
from ansible.module_utils.groundwork.gpu.mig.observe import Host, observe
from ansible.module_utils.groundwork.gpu.mig.plan import forecast, plan_all, users
from ansible.module_utils.groundwork.waiting import Waiter

LOCK = Path("/run/lock/groundwork-mig")
"""Held while a host's layout changes: at boot, by a run, and by what a run that was killed left at work."""


def declare(
    config: Mapping[str, Any],
    selected: str,
    allow_disruption: bool,
    timeout_seconds: float,
    change: bool,
    library: Any = None,
    lock: Path = LOCK,
) -> dict[str, Any]:
    """Make a host's GPUs what the layout says, or without `change` tell what would be done.

    library  stands in for pynvml in tests
    lock     the file whose lock keeps two changes apart

    Returns what module nvidia_mig returns.

    Raises GroundworkError where the layout cannot be, or a step fails.
    """
    layout = select(config, selected)
    with _alone(lock, timeout_seconds) if change else contextlib.nullcontext():
        host = observe(timeout_seconds, library)
        if not host.nvml.available:
            return _not_yet(host, selected, change)
        plans = plan_all(host.cards, layout, allow_disruption)
        if not change:
            return _told(plans, tuple(forecast(plan.card, plan.actions) for plan in plans), [])
        waits = apply_all(plans, timeout_seconds, library)
        cards = observe(timeout_seconds, library).cards if any(plan.actions for plan in plans) else host.cards
    return _told(plans, cards, [{"gpu": plan.card.uuid, "reason": reason} for plan, reason in waits])


@contextlib.contextmanager
def _alone(path: Path, timeout_seconds: float) -> Iterator[None]:
    """One at a time. A child at work has the lock as well, so that a killed run's last step ends before the next."""
    with path.open("w") as file:
        Waiter(timeout_seconds).need(
            lambda: _locked(file.fileno()),
            bool,
            lambda _: GroundworkError(
                "Another change of this host's MIG layout does not end",
                f"`fuser -v {path}` names it. At boot it is groundwork-gpu-mig.service: see its journal.",
            ),
        )
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _told(plans: Sequence[Plan], after: tuple[Card, ...], reset_required: list[dict[str, str]]) -> dict[str, Any]:
    """A change is what is different now, not what was tried: a mode that still waits for its reset is none."""
    before = tuple(plan.card for plan in plans)
    cards = [to_dict(card) for card in after]
    return {
        "changed": [card.layout for card in before] != [card.layout for card in after],
        "actions": [f"{plan.card}: {action}" for plan in plans for action in plan.actions],
        "before": [to_dict(card) for card in before],
        "after": cards,
        "instances": [{"gpu": card["uuid"], **instance} for card in cards for instance in card["instances"]],
        "device_uuids": [uuid for card in after for uuid in card.devices],
        "disturbed": [told for plan in plans for told in _disturbed(plan)],
        "reset_required": reset_required,
        "nvml": {"available": True, "reason": None, "remedy": None},
        "diff": {"before": text(before), "after": text(after)},
    }


def _disturbed(plan: Plan) -> Iterator[dict[str, Any]]:
    for step in plan.actions:
        for user in users(plan.card, step):
            told = {"pid": user.pid, "name": user.name, "pod": user.pod}
            yield {"gpu": plan.card.uuid, "step": str(step), **told}


def _not_yet(host: Host, selected: str, change: bool) -> dict[str, Any]:
    """In check mode on a fresh host the driver is still to come."""
    nvml = {"available": False, "reason": host.nvml.reason, "remedy": host.nvml.remedy}
    if change:
        raise GroundworkError(str(host.nvml.reason), str(host.nvml.remedy))
    return {
        "changed": True,
        "actions": [f"apply layout {selected}, once the driver answers"],
        "before": [],
        "after": [],
        "instances": [],
        "device_uuids": [],
        "disturbed": [],
        "reset_required": [],
        "nvml": nvml,
        "diff": {"before": "", "after": f"layout {selected}, if it fits\n"},
    }
