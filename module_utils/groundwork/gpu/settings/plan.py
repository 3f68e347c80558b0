"""From what GPUs are to what is declared, or why that cannot be. All of it is decided before anything is changed.

What a setting needs: https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceCommands.html
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Collection, Iterable, Iterator, Sequence

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu.model import Process
from ansible.module_utils.groundwork.gpu.settings.model import (
    FORGOTTEN,
    FREE,
    LABELS,
    NAMES,
    Card,
    Change,
    Clocks,
    Override,
    Plan,
    Settings,
    Wanted,
)

VOLTA, AMPERE = 5, 7
"""nvmlDeviceArchitecture_t: the first whose graphics clocks, and whose memory clocks, can be locked."""
NEAREST = 2

DECLARE = "Change gpu_settings of this host, or give the GPU or product its own in gpu_settings_by_gpu."
NAMES_HERE = "Correct gpu_settings_by_gpu, or move the entry to the group_vars of hosts with such GPUs alone."
NO_PERSISTENCE = "Set gpu_settings_persistence_mode to true."
IN_USE = (
    "End what uses the GPU: drain the node, or wait for its jobs. Or set gpu_settings_allow_disruption, which changes "
    "it all the same: ECC then waits for a reboot, and programs that share the GPU may be refused it."
)

Problem = tuple[str, str]
"""What is wrong with one setting, and the remedy."""


def plan_all(
    cards: Iterable[Card],
    wanted: Wanted,
    allow_disruption: bool = False,
    only: Collection[str] = NAMES,
    pass_by_silent: bool = False,
) -> tuple[Plan, ...]:
    """The steps for every GPU of a host, of the settings that `only` names; all settings are judged.

    pass_by_silent  a GPU that does not answer has no steps, and is no reason to refuse

    Raises GroundworkError with everything that cannot be, before anything was changed.
    """
    cards = tuple(cards)
    problems = [] if wanted.restore else [*_misnamed(cards, wanted.overrides)]
    plans = []
    for card in cards:
        declared = _declared(card, wanted)
        if not wanted.restore and not (card.error and pass_by_silent):
            problems += [(f"{card} {what}", remedy) for what, remedy in _problems(card, declared)]
        plans.append(plan(card, declared, only))
    if not problems and not allow_disruption:
        problems += [(_in_use(one, busy), IN_USE) for one in plans if (busy := _disturbed(one))]
    if problems:
        remedies = dict.fromkeys(remedy for _, remedy in problems)
        raise GroundworkError("; ".join(what for what, _ in problems), " ".join(remedies))
    return tuple(plans)


def plan(card: Card, wanted: Settings, only: Collection[str] = NAMES) -> Plan:
    """The steps for one GPU; persistence mode comes first, since without it the driver may forget the others."""
    changes = [Change(name, value) for name, value in wanted.declared().items() if name in only and not card.error]
    return Plan(
        card,
        wanted,
        actions=tuple(change for change in changes if _is(card, change.setting) != change.value),
        again=tuple(change for change in changes if _untold(card, change)),
    )


def forecast(card: Card, actions: Iterable[Change]) -> Card:
    """What the GPU is after the steps, for check mode."""
    for action in actions:
        if action.setting == "ecc":
            card = dataclasses.replace(card, ecc_pending=action.value)
        else:
            settings = dataclasses.replace(card.settings, **{action.setting: action.value})
            card = dataclasses.replace(card, settings=settings)
    return card


def waits(plan: Plan) -> bool:
    """Whether ECC is as declared only after a reset or a reboot."""
    return plan.wanted.ecc not in (None, plan.card.settings.ecc)


def names(processes: Iterable[Process]) -> str:
    """Processes, for people."""
    return ", ".join(f"{one.name or 'a process'} (pid {one.pid})" for one in processes)


def _is(card: Card, setting: str) -> object:
    """What a step would change: of ECC that is what comes after a reset."""
    return card.ecc_pending if setting == "ecc" else getattr(card.settings, setting)


def _untold(card: Card, change: Change) -> bool:
    """Clocks that are as declared by our own account."""
    return isinstance(change.value, tuple) and _is(card, change.setting) == change.value and _can_lock(card, change)


def _can_lock(card: Card, change: Change) -> bool:
    first = VOLTA if change.setting == "locked_graphics_clocks_mhz" else AMPERE
    return card.architecture is not None and card.architecture >= first and bool(card.clocks)


def _declared(card: Card, wanted: Wanted) -> Settings:
    """What one GPU shall be: the host's settings, its product's before these, its own before all."""
    settings = wanted.settings
    for override in sorted(wanted.overrides, key=lambda one: bool(one.uuid)):
        if _matches(override, card):
            settings = settings.under(override.settings)
    return _default(card, settings) if wanted.restore else settings


def _default(card: Card, declared: Settings) -> Settings:
    """The card's own values of what is declared. Persistence mode has none: a daemon may hold it."""
    defaults = Settings(None, card.power_default_watts, FREE, FREE, "default", card.ecc_default)
    return Settings(**{name: getattr(defaults, name) for name in declared.declared()})


def _matches(override: Override, card: Card) -> bool:
    if override.uuid:
        return override.uuid.lower() == card.uuid.lower()
    return fnmatch.fnmatchcase(card.name.lower(), override.product.lower())


def _misnamed(cards: Sequence[Card], overrides: Iterable[Override]) -> Iterator[Problem]:
    """Entries that name no GPU here, and GPUs that two products name. A silent GPU may be the missing one."""
    overrides = tuple(overrides)
    here = ", ".join(map(str, cards)) or "no GPU at all"
    if not any(card.error for card in cards):
        for override in overrides:
            if not any(_matches(override, card) for card in cards):
                yield f"No GPU of this host is {override}; there is {here}", NAMES_HERE
    for card in cards:
        found = [f'"{one.product}"' for one in overrides if one.product and card.name and _matches(one, card)]
        if len(found) > 1:
            yield f"{card} is named twice, as product {' and '.join(found)}", NAMES_HERE


def _problems(card: Card, wanted: Settings) -> Iterator[Problem]:
    """What of a declaration this GPU cannot be."""
    if not wanted.declared():
        return
    if card.error:
        yield f"does not answer: {card.error.message}", card.error.remedy
        return
    yield from _persistence(card, wanted)
    for what in (_power(card, wanted), *_locked(card, wanted), _compute_mode(card, wanted), _ecc(card, wanted)):
        if what:
            yield what, DECLARE


def _persistence(card: Card, wanted: Settings) -> Iterator[Problem]:
    if wanted.persistence_mode is not None and card.settings.persistence_mode is None:
        yield "does not tell its persistence mode", DECLARE
    left = [LABELS[name] for name in wanted.declared() if name in FORGOTTEN and name != "persistence_mode"]
    after = card.settings.persistence_mode if wanted.persistence_mode is None else wanted.persistence_mode
    if left and after is False:
        yield f"forgets {', '.join(left)} when its last program ends: persistence mode is off", NO_PERSISTENCE


def _power(card: Card, wanted: Settings) -> str | None:
    limit, low, high = wanted.power_limit_watts, card.power_min_watts, card.power_max_watts
    if limit is None:
        return None
    if low is None or high is None:
        return "does not let its power limit be set"
    return None if low <= limit <= high else f"takes a power limit of {low:g} to {high:g} W, not {limit:g} W"


def _locked(card: Card, wanted: Settings) -> Iterator[str | None]:
    memory = {clock for clock, _ in card.clocks}
    locked = wanted.locked_memory_clocks_mhz or FREE
    graphics = {one for clock, some in card.clocks if not locked or clock == locked[-1] for one in some}
    yield _unsupported(card, Change("locked_memory_clocks_mhz", locked), memory)
    if not set(locked) - memory:  # else the graphics clocks of that memory clock are not known
        yield _unsupported(
            card, Change("locked_graphics_clocks_mhz", wanted.locked_graphics_clocks_mhz or FREE), graphics
        )


def _unsupported(card: Card, change: Change, supported: Collection[int]) -> str | None:
    label, clocks = LABELS[change.setting], change.value
    if not clocks:
        return None
    if not _can_lock(card, change) or not supported:
        return f"cannot lock its {label}"
    missing = sorted(set(clocks) - set(supported))
    if not missing:
        return None
    told = "; ".join(f"{clock} MHz, nearest {_nearest(clock, supported)}" for clock in missing)
    return f"does not support these {label}: {told}, of {min(supported)} to {max(supported)} MHz"


def _nearest(clock: int, supported: Collection[int]) -> str:
    near: Clocks = tuple(sorted(sorted(supported, key=lambda one: abs(one - clock))[:NEAREST]))
    return " and ".join(map(str, near))


def _compute_mode(card: Card, wanted: Settings) -> str | None:
    if wanted.compute_mode is None:
        return None
    if card.settings.compute_mode is None:
        return "does not tell its compute mode"
    if card.mig_enabled and wanted.compute_mode != card.settings.compute_mode:
        return "is in MIG mode, where compute mode belongs to each MIG device and goes with it"
    return None


def _ecc(card: Card, wanted: Settings) -> str | None:
    return "has no ECC" if wanted.ecc is not None and card.settings.ecc is None else None


def _disturbed(plan: Plan) -> list[Change]:
    """Steps that running programs would feel: the reset that ECC needs, and who else may use the GPU."""
    if not plan.card.processes:
        return []
    feels = {"compute_mode": True, "ecc": waits(plan)}
    return [action for action in plan.actions if feels.get(action.setting)]


def _in_use(plan: Plan, busy: Iterable[Change]) -> str:
    told = "; ".join(f"cannot {action}, used by {names(plan.card.processes)}" for action in busy)
    return f"{plan.card} is in use: {told}"
