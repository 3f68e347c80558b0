"""Cards of any kind in any state, and what may be wished of them, for property tests."""

from __future__ import annotations

import dataclasses
from collections import Counter

from ansible.module_utils.groundwork.gpu.mig.model import Card, Instance, Layout, Placement, Profile
from hypothesis import strategies as st

from tests.unit.module_utils.gpu.mig_cards import A30, H100, card, process

WHOLE = Layout(False)
MODES = ("disabled", "enabled")


@st.composite
def any_profiles(draw: st.DrawFn, slices: int = 8, kinds: int = 4) -> tuple[Profile, ...]:
    """Cards that nobody has built: the planner knows no model."""
    made = []
    for number in range(draw(st.integers(1, kinds))):
        size = draw(st.integers(1, slices // 2))
        starts = draw(st.lists(st.integers(0, slices - size), min_size=1, max_size=5, unique=True))
        count = draw(st.integers(1, len(starts)))
        placements = tuple(Placement(start, size) for start in starts)
        made.append(Profile(number, f"{size}g.{number}gb", size, count, placements))
    return tuple(made)


@st.composite
def any_card(draw: st.DrawFn, kinds: st.SearchStrategy[tuple[Profile, ...]] | None = None) -> Card:
    """A card of any kind in any state that its driver allows, with processes on some of its instances."""
    profiles = draw(st.sampled_from([H100, A30]) | any_profiles() if kinds is None else kinds)
    found = card(draw(st.sampled_from(MODES)), profiles=profiles, mode_pending=draw(st.sampled_from(MODES)))
    if found.mode_current == "disabled":
        return found
    instances: list[Instance] = []
    places = st.sampled_from([(profile, place) for profile in profiles for place in profile.placements])
    for profile, place in draw(st.lists(places)):
        same = sum(made.profile == profile.name for made in instances)
        if same < profile.max_count and not any(place.overlaps(made.placement) for made in instances):
            number = len(instances)
            instances.append(Instance(profile.name, place, number, f"MIG-{number}", draw(st.booleans())))
    busy = draw(st.sets(st.sampled_from(range(len(instances))))) if instances else set()
    return dataclasses.replace(
        found, instances=tuple(instances), processes=tuple(process(number) for number in sorted(busy))
    )


@st.composite
def any_wish(draw: st.DrawFn, kinds: st.SearchStrategy[tuple[Profile, ...]] | None = None) -> tuple[Card, Layout]:
    """A card, and a layout that fits it or does not."""
    found = draw(any_card(kinds))
    names = st.sampled_from([one.name for one in found.profiles])
    counts = draw(st.dictionaries(names, st.integers(1, 7), max_size=3))
    return found, Layout(True, tuple(counts.items())) if draw(st.integers(0, 5)) else WHOLE


@st.composite
def any_way(draw: st.DrawFn, kinds: st.SearchStrategy[tuple[Profile, ...]] | None = None) -> tuple[Card, Layout]:
    """A card in any state, and a layout that fits it: what another state of the same card has."""
    found = draw(any_card(kinds))
    other = draw(any_card(st.just(found.profiles)))
    counts = Counter(one.profile for one in other.instances)
    return found, Layout(other.mode_current == "enabled", tuple(sorted(counts.items())))
