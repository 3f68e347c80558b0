"""From what a GPU is to what it shall be, in steps that fit; or why not.

All of it is decided before anything is changed. Instances that are as declared stay where they leave room for the
others, those that processes use before all.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu.mig.config import Selected
from ansible.module_utils.groundwork.gpu.mig.model import (
    MIG_DISABLED,
    MIG_ENABLED,
    Action,
    Card,
    Create,
    Destroy,
    Instance,
    Layout,
    Placement,
    Plan,
    Profile,
    SetMode,
)
from ansible.module_utils.groundwork.gpu.model import Process

Places = list[tuple[Profile, Placement]]
"""What to create where."""
NO_ROOM = "Choose a layout that fits with gpu_mig_layout, or declare one in gpu_mig_config."
NONE = "Take gpu_mig_layout from this host, or give it the group_vars of hosts with such GPUs alone."
IN_USE = (
    "End what uses the GPU: drain the node, or wait for its jobs. Or set gpu_mig_allow_disruption, which tries all the "
    "same: the driver takes no instance from a running process, and a change of mode then waits for a reboot."
)


def plan_all(cards: Iterable[Card], selected: Selected, allow_disruption: bool) -> tuple[Plan, ...]:
    """The steps for every GPU of a host.

    Raises GroundworkError with every GPU whose layout cannot be, before anything was changed.
    """
    plans: list[Plan] = []
    refusals: list[GroundworkError] = []
    cards = tuple(cards)
    _refuse_without_an_entry(cards, selected)
    for card in cards:
        try:
            layout = selected.layout(card)
            plans.append(Plan(card, plan(card, layout, allow_disruption) if layout else ()))
        except GroundworkError as error:
            refusals.append(error)
    if refusals:
        remedies = dict.fromkeys(error.remedy for error in refusals)
        raise GroundworkError("; ".join(error.message for error in refusals), " ".join(remedies))
    _refuse_where_none_can(cards, selected)
    return tuple(plans)


def plan(card: Card, layout: Layout, allow_disruption: bool = False) -> tuple[Action, ...]:
    """The steps for one GPU, in order; none where it is as declared.

    Raises GroundworkError where the layout does not fit, or the GPU is in use.
    """
    if card.error:
        raise GroundworkError(f"{card} does not answer: {card.error.message}", card.error.remedy)
    if card.mode_current is None:
        raise GroundworkError(
            f"{card} cannot be partitioned", "Leave it out of the layout by devices or device-filter."
        )
    wanted = _wanted(card, layout)
    if _places(wanted, card.profiles, ()) is None:
        raise GroundworkError(f"{card}: {_misfit(card, wanted)}", NO_ROOM)
    kept, places = _kept(card, wanted)
    gone = [instance for instance in card.instances if instance not in kept]
    actions: list[Action] = [Destroy(one) for one in sorted(gone, key=lambda one: not _users(card, one))]
    if (card.mode_current, card.mode_pending) != (layout.mode, layout.mode):
        actions.append(SetMode(layout.enabled))
    actions += [Create(profile, placement) for profile, placement in places]
    if not allow_disruption:
        _refuse_in_use(card, actions)
    return tuple(actions)


def forecast(card: Card, actions: Iterable[Action]) -> Card:
    """What the GPU is after the steps, for check mode; instances are without the ids that the driver gives."""
    for action in actions:
        if isinstance(action, SetMode):
            mode = MIG_ENABLED if action.enabled else MIG_DISABLED
            card = dataclasses.replace(card, mode_current=mode, mode_pending=mode)
        elif isinstance(action, Destroy):
            left = tuple(instance for instance in card.instances if instance != action.instance)
            card = dataclasses.replace(card, instances=left)
        else:
            made = Instance(action.profile.name, action.placement)
            card = dataclasses.replace(card, instances=(*card.instances, made))
    return card


def users(card: Card, action: Action) -> list[Process]:
    """The processes that a step would disturb."""
    if isinstance(action, SetMode):
        changes = card.mode_current != (MIG_ENABLED if action.enabled else MIG_DISABLED)
        return list(card.processes) if changes else []
    return _users(card, action.instance) if isinstance(action, Destroy) else []


def _users(card: Card, instance: Instance) -> list[Process]:
    """Those on this instance, and those that do not say where they are."""
    return [one for one in card.processes if one.gpu_instance_id in (instance.id, None)]


def _refuse_in_use(card: Card, actions: Iterable[Action]) -> None:
    busy = {action: found for action in actions if (found := users(card, action))}
    if busy:
        told = "; ".join(f"cannot {action}, used by {names(found)}" for action, found in busy.items())
        raise GroundworkError(f"{card} is in use: {told}", IN_USE)


def names(processes: Iterable[Process]) -> str:
    """Processes, for people."""
    return ", ".join(
        f"{one.name or 'a process'} (pid {one.pid}{f', pod {one.pod}' if one.pod else ''})" for one in processes
    )


def _refuse_without_an_entry(cards: Sequence[Card], selected: Selected) -> None:
    if cards and selected.rules and not any(rule.matches(card) for rule in selected.rules for card in cards):
        models = ", ".join(f"{card} is {card.device_id}" for card in cards)
        raise GroundworkError(f"Layout {selected.name} has no entry for any GPU of this host: {models}", NO_ROOM)


def _refuse_where_none_can(cards: Sequence[Card], selected: Selected) -> None:
    """A layout for all GPUs passes by those that cannot be partitioned; where it passes by all, it is a mistake."""
    if all(card.mode_current is None for card in cards) and any(map(selected.wants_mig, cards)):
        told = ", ".join(map(str, cards))
        raise GroundworkError(f"Layout {selected.name} needs a GPU that can be partitioned; here are {told}", NONE)


def _wanted(card: Card, layout: Layout) -> Counter[str]:
    """How many of each profile.

    Raises GroundworkError for a profile that the GPU does not have.
    """
    known = {profile.name for profile in card.profiles}
    missing = [name for name, _ in layout.counts if name not in known]
    if missing:
        there = ", ".join(f"{one.name} (at most {one.max_count})" for one in card.profiles) or "none"
        raise GroundworkError(f"{card} has no profile {', '.join(missing)}; it has {there}", NO_ROOM)
    return Counter(dict(layout.counts))


def _kept(card: Card, wanted: Counter[str]) -> tuple[tuple[Instance, ...], Places]:
    """The instances to leave alone, and where the rest goes.

    Kept are the most that are used, and of as many the most, that leave room; where the layout fits at all, none do.
    """
    useful = [one for one in card.instances if one.whole and wanted[one.profile]]
    for chosen in _by_use(card, useful):
        kept = Counter(one.profile for one in chosen)
        places = _places(wanted - kept, card.profiles, [one.placement for one in chosen])
        if places is not None and kept <= wanted:
            return chosen, places
    raise AssertionError("a layout that fits an empty GPU fits one that keeps nothing")


def _by_use(card: Card, instances: Sequence[Instance]) -> list[tuple[Instance, ...]]:
    """Every choice of instances, the best to keep first; a GPU has at most seven or eight."""
    used = {one for one in instances if _users(card, one)}
    choices = [some for count in range(len(instances) + 1) for some in itertools.combinations(instances, count)]
    return sorted(choices, key=lambda some: (-len(used.intersection(some)), -len(some)))


def _places(wanted: Mapping[str, int], profiles: Iterable[Profile], taken: Iterable[Placement]) -> Places | None:
    """Where so many of each profile lie beside what is taken; None where there is no room. The largest come first."""
    asked = [(profile, wanted[profile.name]) for profile in profiles if wanted.get(profile.name)]
    if any(count > profile.max_count for profile, count in asked):
        return None
    asked.sort(key=lambda pair: -max((place.size for place in pair[0].placements), default=0))
    return next(_search(asked, list(taken)), None)


def _search(asked: Sequence[tuple[Profile, int]], taken: list[Placement]) -> Iterator[Places]:
    """Every way to lay out what is asked for: one profile after the other, each on the places that are left."""
    if not asked:
        yield []
        return
    profile, count = asked[0]
    free = [place for place in profile.placements if not any(place.overlaps(other) for other in taken)]
    for places in itertools.combinations(free, count):
        if not any(one.overlaps(other) for one, other in itertools.combinations(places, 2)):
            for rest in _search(asked[1:], [*taken, *places]):
                yield [*((profile, place) for place in places), *rest]


def _misfit(card: Card, wanted: Counter[str]) -> str:
    """What of a layout fits and what does not: the smallest are left out until the rest has its places."""
    sizes = {profile.name: max((place.size for place in profile.placements), default=0) for profile in card.profiles}
    fits = wanted.copy()
    while _places(+fits, card.profiles, []) is None:
        fits[min(+fits, key=lambda name: (sizes[name], -fits[name]))] -= 1
    told = ", ".join(f"{fits[name]} of {count} {name}" for name, count in wanted.items())
    most = ", ".join(f"{one.name} {one.max_count}" for one in card.profiles if one.name in wanted)
    return f"the layout does not fit; together fit {told}; alone at most {most}"
