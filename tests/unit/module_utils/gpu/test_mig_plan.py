"""The plan from what a GPU is to what it shall be."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu.mig.config import select
from ansible.module_utils.groundwork.gpu.mig.model import Card, Destroy, Layout, SetMode, text
from ansible.module_utils.groundwork.gpu.mig.plan import forecast, plan, plan_all
from ansible.module_utils.groundwork.gpu.model import Failure
from hypothesis import assume, given, settings

from tests.unit.module_utils.gpu.mig_cards import A30, H100, card, cut, instance, process, taken
from tests.unit.module_utils.gpu.mig_strategies import WHOLE, any_card, any_profiles, any_way, any_wish


def layout(**counts: int) -> Layout:
    """1g.10gb is written g1_10 here, 1g.10gb+me g1_10me."""
    names = {f"g{one.name[0]}_{one.name[3:].replace('gb', '').replace('+', '')}": one.name for one in (*H100, *A30)}
    return Layout(True, tuple((names[key], count) for key, count in counts.items()))


def steps(found: Card, wanted: Layout, allow: bool = False) -> list[str]:
    return [str(action) for action in plan(found, wanted, allow)]


@pytest.mark.parametrize(
    ("found", "wanted", "actions"),
    [
        (card(), WHOLE, []),
        (card(), layout(), ["enable MIG mode"]),
        (card(), layout(g7_80=1), ["enable MIG mode", "create 7g.80gb at 0:8"]),
        (cut(), layout(), []),
        (cut(), WHOLE, ["disable MIG mode"]),
        (cut(instance("7g.80gb", 0)), WHOLE, ["destroy 7g.80gb at 0:8", "disable MIG mode"]),
        (cut(instance("3g.40gb", 4)), layout(g3_40=1), []),
        (cut(instance("3g.40gb", 4)), layout(g3_40=2), ["create 3g.40gb at 0:4"]),
        (cut(instance("3g.40gb", 4)), layout(g4_40=1, g3_40=1), ["create 4g.40gb at 0:4"]),
        # A small instance in the middle of where a large one has to lie is moved.
        (
            cut(instance("1g.10gb", 1)),
            layout(g4_40=1, g1_10=1),
            ["destroy 1g.10gb at 1:1", "create 4g.40gb at 0:4", "create 1g.10gb at 4:1"],
        ),
        # Two idle ones give way to one in use, which leaves room for the large one on its side alone.
        (
            cut(instance("1g.10gb", 0), instance("1g.10gb", 1), instance("1g.10gb", 6), processes=(process(16),)),
            layout(g4_40=1, g1_10=2),
            ["destroy 1g.10gb at 0:1", "destroy 1g.10gb at 1:1", "create 4g.40gb at 0:4", "create 1g.10gb at 4:1"],
        ),
        # Without its compute instance a GPU instance is nobody's device.
        (
            cut(instance("3g.40gb", 4, whole=False)),
            layout(g3_40=1),
            ["destroy 3g.40gb at 4:4", "create 3g.40gb at 0:4"],
        ),
        # Somebody asked for another mode at the next reset.
        (dataclasses.replace(card(), mode_pending="enabled"), WHOLE, ["disable MIG mode"]),
        (
            dataclasses.replace(card(), mode_pending="enabled"),
            layout(g7_80=1),
            ["enable MIG mode", "create 7g.80gb at 0:8"],
        ),
    ],
)
def test_steps(found: Card, wanted: Layout, actions: list[str]) -> None:
    assert steps(found, wanted) == actions


def test_large_instances_get_their_places_first() -> None:
    """And the order of places is no rule: with 3g.40gb at 0:4 there would be room for one 1g.10gb only."""
    assert steps(cut(), layout(g1_10=2, g2_20=1, g3_40=1)) == [
        "create 3g.40gb at 4:4",
        "create 2g.20gb at 0:2",
        "create 1g.10gb at 2:1",
        "create 1g.10gb at 3:1",
    ]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (layout(g3_40=3), "together fit 2 of 3 3g.40gb; alone at most 3g.40gb 2"),
        (layout(g1_10me=2), "together fit 1 of 2 1g.10gb+me"),
        (layout(g4_40=1, g3_40=1, g1_10=1), "together fit 1 of 1 4g.40gb, 1 of 1 3g.40gb, 0 of 1 1g.10gb"),
        (layout(g1_10=1000), "together fit 7 of 1000 1g.10gb"),
        (layout(g1_6=1), "has no profile 1g.6gb; it has 1g.10gb (at most 7), 1g.10gb+me (at most 1)"),
    ],
)
def test_what_does_not_fit_is_told_with_what_does(wanted: Layout, message: str) -> None:
    with pytest.raises(GroundworkError) as refused:
        plan(card(), wanted)
    assert message in refused.value.message
    assert refused.value.message.startswith("GPU 0 (GPU-0, NVIDIA H100 80GB HBM3)")
    assert "gpu_mig_layout" in refused.value.remedy


def test_a_gpu_that_cannot_be_partitioned_is_refused() -> None:
    with pytest.raises(GroundworkError, match="cannot be partitioned"):
        plan(card(None), layout(g1_10=1))


def test_a_gpu_that_does_not_answer_is_refused_with_its_own_remedy() -> None:
    with pytest.raises(GroundworkError, match="GPU 3 does not answer: GPU is lost") as refused:
        plan(Card(3, error=Failure("GpuIsLost", "GPU is lost", "Reboot.")), WHOLE)
    assert refused.value.remedy == "Reboot."


BUSY = cut(*(instance("1g.10gb", start) for start in range(7)), processes=(process(12), process(15, 4712)))


@pytest.mark.parametrize(
    ("found", "wanted", "named"),
    [
        (card(processes=(process(),)), layout(g1_10=1), "cannot enable MIG mode, used by python3 (pid 4711)"),
        (BUSY, layout(g7_80=1), "cannot destroy 1g.10gb at 2:1, used by python3 (pid 4711); cannot destroy"),
        (BUSY, WHOLE, "cannot disable MIG mode, used by python3 (pid 4711), python3 (pid 4712)"),
        (BUSY, layout(g1_10=1), "used by python3 (pid"),
        (cut(instance("3g.40gb", 0), processes=(process(),)), WHOLE, "cannot destroy 3g.40gb at 0:4"),
    ],
)
def test_work_is_named_and_not_disturbed_unless_allowed(found: Card, wanted: Layout, named: str) -> None:
    with pytest.raises(GroundworkError) as refused:
        plan(found, wanted)
    assert named in refused.value.message
    assert plan(found, wanted, allow_disruption=True)


def test_a_process_on_a_gpu_that_stays_as_it_is_is_in_nobodys_way() -> None:
    assert steps(BUSY, layout(g1_10=7)) == []
    assert steps(card(processes=(process(),)), WHOLE) == []


def test_instances_in_use_are_the_ones_that_stay() -> None:
    actions = plan(BUSY, layout(g1_10=2))
    assert {one.instance.id for one in actions if isinstance(one, Destroy)} == {10, 11, 13, 14, 16}


def test_what_is_used_goes_first_so_that_a_refusal_finds_the_gpu_as_it_was() -> None:
    actions = plan(BUSY, layout(g7_80=1), allow_disruption=True)
    assert [one.instance.id for one in actions[:2] if isinstance(one, Destroy)] == [12, 15]


def test_all_refusals_of_a_host_are_told_at_once() -> None:
    with pytest.raises(GroundworkError) as refused:
        plan_all((card(), card(index=1), card(index=2, profiles=A30)), select({}, "all-1g.6gb"), False)
    assert refused.value.message.count("does not fit") == 2
    assert "GPU 0 (" in refused.value.message
    assert "GPU 2 (" not in refused.value.message


def test_a_layout_for_other_models_is_refused() -> None:
    entry = {"device-filter": "0x20B210DE", "devices": "all", "mig-enabled": False}
    config = {"version": "v1", "mig-configs": {"mine": [entry]}}
    with pytest.raises(GroundworkError, match=r"has no entry for any GPU of this host: .* is 0x233010DE"):
        plan_all((card(),), select(config, "mine"), False)
    assert plan_all((), select(config, "mine"), False) == ()


CANNOT = (card(None), card(None, index=1))


@pytest.mark.parametrize("name", ["all-enabled", "all-balanced", "all-1g.10gb"])
def test_a_host_none_of_whose_gpus_can_be_partitioned_is_refused(name: str) -> None:
    with pytest.raises(GroundworkError, match=f"{name} needs a GPU that can be partitioned; here are GPU 0") as refused:
        plan_all(CANNOT, select({}, name), False)
    assert "gpu_mig_layout" in refused.value.remedy
    assert [bool(each.actions) for each in plan_all((*CANNOT, card(index=2)), select({}, name), False)] == [0, 0, 1]
    assert [each.actions for each in plan_all(CANNOT, select({}, "all-disabled"), False)] == [(), ()]


def test_an_entry_of_a_file_for_all_gpus_is_refused_where_none_can_be_partitioned() -> None:
    cuts = {"devices": "all", "mig-enabled": True, "mig-devices": {"1g.10gb": 7}}
    others = {**cuts, "device-filter": "0x20B210DE"}
    ours = {"devices": "all", "device-filter": "0x233010DE", "mig-enabled": False}
    config = {"version": "v1", "mig-configs": {"mine": [others, ours], "all": [cuts]}}
    with pytest.raises(GroundworkError, match="all needs a GPU that can be partitioned"):
        plan_all(CANNOT, select(config, "all"), False)
    assert len(plan_all(CANNOT, select(config, "mine"), False)) == 2


def test_a_diff_reads_like_the_gpu() -> None:
    pending = dataclasses.replace(card(index=1), mode_pending="enabled")
    found = cut(instance("3g.40gb", 4), instance("1g.10gb", 0, whole=False))
    assert text((found, pending, card(None), Card(3))) == (
        "GPU 0 (GPU-0, NVIDIA H100 80GB HBM3): MIG enabled\n"
        "  1g.10gb at 0:1, not one device\n"
        "  3g.40gb at 4:4\n"
        "GPU 1 (GPU-1, NVIDIA H100 80GB HBM3): MIG disabled, enabled after a reset\n"
    )


@given(any_wish())
def test_an_accepted_plan_fits_comes_true_and_leaves_nothing_to_do(wish: tuple[Card, Layout]) -> None:
    found, wanted = wish
    try:
        actions = plan(found, wanted, allow_disruption=True)
    except GroundworkError:
        assume(False)
    after = taken(found, actions)  # which fails as a driver would
    assert Counter(one.profile for one in after.instances) == dict(wanted.counts)
    assert after.mode_current == wanted.mode
    assert plan(after, wanted) == ()
    assert text((forecast(found, actions),)) == text((after,))


@given(any_wish())
def test_a_refused_layout_fits_nowhere(wish: tuple[Card, Layout]) -> None:
    """Against every way to place it, tried without any cleverness."""
    found, wanted = wish
    assume(sum(count for _, count in wanted.counts) <= 4)
    try:
        plan(found, wanted, allow_disruption=True)
    except GroundworkError:
        by_name = {one.name: one for one in found.profiles}
        assert any(count > by_name[name].max_count for name, count in wanted.counts) or not any(
            not any(one.overlaps(other) for one, other in itertools.combinations(places, 2))
            for places in itertools.product(
                *(by_name[name].placements for name, count in wanted.counts for _ in range(count))
            )
        )


@given(any_wish())
def test_without_leave_no_process_loses_its_instance(wish: tuple[Card, Layout]) -> None:
    found, wanted = wish
    try:
        actions = plan(found, wanted)
    except GroundworkError:
        assume(False)
    left = {one.id for one in taken(found, actions).instances}
    assert {one.gpu_instance_id for one in found.processes} <= left


@given(any_wish())
def test_work_that_can_stay_stays(wish: tuple[Card, Layout]) -> None:
    """Idle instances give way to those in use, however many there are."""
    found, wanted = wish
    busy = {one.gpu_instance_id for one in found.processes}
    alone = dataclasses.replace(found, instances=tuple(one for one in found.instances if one.id in busy))
    try:
        actions = plan(alone, wanted)
    except GroundworkError:
        assume(False)
    assert not any(isinstance(one, Destroy) for one in actions)
    assert not [one for one in plan(found, wanted) if isinstance(one, Destroy) and one.instance.id in busy]


@given(any_card())
def test_what_is_as_declared_is_left_alone(found: Card) -> None:
    """Wherever it lies, and whoever uses it."""
    assume(found.mode_current == "enabled")
    whole = tuple(dataclasses.replace(one, whole=True) for one in found.instances)
    found = dataclasses.replace(found, mode_pending="enabled", instances=whole)
    there = Counter(one.profile for one in found.instances)
    assert plan(found, Layout(True, tuple(there.items()))) == ()


Lying = frozenset[tuple[str, int, int]]
"""Instances by profile, start and size."""


def fewest(found: Card, wanted: Layout) -> int | None:
    """The fewest destroys and creates from a card to a layout, by walking all its states; None: there is no way."""
    start: Lying = frozenset((one.profile, one.placement.start, one.placement.size) for one in found.instances)
    goal = sorted(Counter(dict(wanted.counts)).elements())
    seen, edge, steps = {start}, [start], 0
    while edge:
        if any(sorted(name for name, _, _ in state) == goal for state in edge):
            return steps
        edge = list({after for state in edge for after in neighbours(found, state)} - seen)
        seen.update(edge)
        steps += 1
    return None


def neighbours(found: Card, state: Lying) -> set[Lying]:
    """The states that one destroy or create leads to."""
    after = {state - {one} for one in state}
    for profile in found.profiles:
        if sum(name == profile.name for name, _, _ in state) < profile.max_count:
            for place in profile.placements:
                if all(place.start >= start + size or start >= place.start + place.size for _, start, size in state):
                    after.add(state | {(profile.name, place.start, place.size)})
    return after


SMALL = any_profiles(slices=5, kinds=3)


@given(any_way(SMALL))
@settings(max_examples=60)
def test_no_way_to_the_layout_is_shorter(way: tuple[Card, Layout]) -> None:
    """Of all destroys and creates that lead there, on cards small enough to try every one; nothing is in use."""
    found, wanted = way
    whole = tuple(dataclasses.replace(one, whole=True) for one in found.instances)
    idle = dataclasses.replace(found, instances=whole, processes=())
    actions = [one for one in plan(idle, wanted) if not isinstance(one, SetMode)]
    assert len(actions) == fewest(idle, wanted)


@given(any_wish(SMALL))
@settings(max_examples=60)
def test_what_is_refused_cannot_be_reached_by_any_steps(wish: tuple[Card, Layout]) -> None:
    found, wanted = wish
    idle = dataclasses.replace(found, instances=(), processes=())
    told = ""
    try:
        plan(idle, wanted)
    except GroundworkError as error:
        told = error.message
    assert bool(told) == (fewest(idle, wanted) is None)
    assert not told or (str(found) in told and any(name in told for name, _ in wanted.counts))
