"""From what GPUs are set to to what is declared, or why that cannot be."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu.model import Failure
from ansible.module_utils.groundwork.gpu.settings.model import (
    FREE,
    NAMES,
    Card,
    Change,
    Override,
    Plan,
    Settings,
    Wanted,
)
from ansible.module_utils.groundwork.gpu.settings.plan import forecast, plan, plan_all, waits
from hypothesis import assume
from hypothesis import given as drawn
from hypothesis import strategies as st

from tests.unit.module_utils.gpu.settings_cards import CLOCKS, GRAPHICS, TRAINING, card

LOST = Card(1, error=Failure("GpuIsLost", "NVML: GPU is lost", "Drain the node and reboot it."))
LOCK = (210, 1410)


def actions(given: Card, **wanted: Any) -> list[str]:
    return [str(action) for action in plan(given, Settings(**wanted)).actions]


@pytest.mark.parametrize(
    ("given", "wanted", "steps"),
    [
        ({}, {}, []),
        ({}, {"persistence_mode": True, "power_limit_watts": 700.0, "compute_mode": "default", "ecc": True}, []),
        ({"persistence_mode": False}, {"persistence_mode": True}, ["set persistence mode to on"]),
        ({}, {"power_limit_watts": 412.5}, ["set power limit to 412.5 W"]),
        ({}, {"locked_graphics_clocks_mhz": LOCK}, ["set graphics clocks to 210 to 1410 MHz"]),
        ({}, {"locked_memory_clocks_mhz": (1593, 1593)}, ["set memory clocks to 1593 MHz"]),
        ({"locked_graphics_clocks_mhz": LOCK}, {"locked_graphics_clocks_mhz": LOCK}, []),
        (
            {"locked_graphics_clocks_mhz": LOCK},
            {"locked_graphics_clocks_mhz": FREE},
            ["let the GPU choose its graphics clocks"],
        ),
        ({}, {"compute_mode": "exclusive_process"}, ["set compute mode to exclusive_process"]),
        ({}, {"ecc": False}, ["set ECC to off"]),
        ({"ecc_pending": False}, {"ecc": False}, []),
        ({"ecc_pending": False}, {"ecc": True}, ["set ECC to on"]),
        (
            {"persistence_mode": False},
            {"ecc": False, "power_limit_watts": 300.0, "persistence_mode": True},
            ["set persistence mode to on", "set power limit to 300 W", "set ECC to off"],
        ),
    ],
)
def test_steps_are_what_differs(given: dict[str, Any], wanted: dict[str, Any], steps: list[str]) -> None:
    assert actions(card(**given), **wanted) == steps


def test_only_some_settings_may_be_changed() -> None:
    wanted = Wanted(Settings(power_limit_watts=300.0, ecc=False))
    (found,) = plan_all([card()], wanted, only=["ecc"])
    assert found.actions == (Change("ecc", False),)


def test_locks_are_set_again_since_nobody_tells_whether_they_hold() -> None:
    found = plan(
        card(locked_graphics_clocks_mhz=LOCK), Settings(locked_graphics_clocks_mhz=LOCK, locked_memory_clocks_mhz=FREE)
    )
    assert found.actions == ()
    assert found.again == (Change("locked_graphics_clocks_mhz", LOCK), Change("locked_memory_clocks_mhz", FREE))
    assert plan(card(architecture=6), Settings(locked_memory_clocks_mhz=FREE)).again == ()


@pytest.mark.parametrize(
    ("given", "wanted", "later"),
    [({}, None, False), ({}, True, False), ({}, False, True), ({"ecc_pending": False}, False, True)],
)
def test_ecc_waits_for_a_reset(given: dict[str, Any], wanted: bool | None, later: bool) -> None:
    assert waits(plan(card(**given), Settings(ecc=wanted))) is later


REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (
        {},
        {"power_limit_watts": 800.0},
        r"GPU 0 \(GPU-0, NVIDIA H100 80GB HBM3\) takes a power limit of 200 to 700 W, not 8",
    ),
    ({}, {"power_limit_watts": 199.9}, "not 199.9 W"),
    ({"power_max_watts": None}, {"power_limit_watts": 300.0}, "does not let its power limit be set"),
    (
        {},
        {"locked_graphics_clocks_mhz": (210, 1400)},
        "graphics clocks: 1400 MHz, nearest 1410 and 1755, of 210 to 1980 MHz",
    ),
    ({}, {"locked_graphics_clocks_mhz": (100, 9000)}, "100 MHz, nearest 210 and 345; 9000 MHz, nearest 1965 and 1980"),
    ({}, {"locked_memory_clocks_mhz": (2000, 2619)}, "memory clocks: 2000 MHz, nearest 1593 and 2619"),
    (
        {},
        {"locked_memory_clocks_mhz": (1593, 1593), "locked_graphics_clocks_mhz": (1980, 1980)},
        "1980 MHz, nearest 1410 and 1755",
    ),
    ({"architecture": 6}, {"locked_memory_clocks_mhz": (1593, 1593)}, "cannot lock its memory clocks"),
    ({"architecture": 4}, {"locked_graphics_clocks_mhz": LOCK}, "cannot lock its graphics clocks"),
    ({"clocks": ()}, {"locked_graphics_clocks_mhz": LOCK}, "cannot lock its graphics clocks"),
    ({"compute_mode": None}, {"compute_mode": "default"}, "does not tell its compute mode"),
    ({"mig_enabled": True}, {"compute_mode": "prohibited"}, "is in MIG mode, where compute mode belongs to each MIG"),
    ({"ecc": None}, {"ecc": False}, "has no ECC"),
    ({"persistence_mode": None}, {"persistence_mode": True}, "does not tell its persistence mode"),
    ({"persistence_mode": False}, {"power_limit_watts": 300.0}, "forgets power limit when its last program ends"),
    ({}, {"persistence_mode": False, "locked_graphics_clocks_mhz": LOCK}, "forgets graphics clocks when"),
]


@pytest.mark.parametrize(("given", "wanted", "said"), REFUSED)
def test_what_a_gpu_cannot_be_is_refused(given: dict[str, Any], wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(GroundworkError, match=said) as refused:
        plan_all([card(**given)], Wanted(Settings(**wanted)), allow_disruption=True)
    assert "gpu_settings" in refused.value.remedy


def test_a_gpu_in_mig_mode_keeps_power_clocks_and_ecc() -> None:
    wanted = Settings(True, 300.0, LOCK, None, "default", True)
    (found,) = plan_all([card(mig_enabled=True)], Wanted(wanted))
    assert [action.setting for action in found.actions] == ["power_limit_watts", "locked_graphics_clocks_mhz"]


def test_everything_that_cannot_be_is_told_at_once() -> None:
    wanted = Wanted(
        Settings(power_limit_watts=900.0, ecc=True), (Override(Settings(ecc=False), product="NVIDIA A100*"),)
    )
    with pytest.raises(GroundworkError) as refused:
        plan_all([card(), card(2, ecc=None, ecc_pending=None)], wanted)
    for said in (
        "product NVIDIA A100*",
        "GPU 0 (GPU-0",
        "not 900 W",
        "GPU 2 (GPU-2, NVIDIA H100 80GB HBM3) has no ECC",
    ):
        assert said in refused.value.message


def test_a_uuid_goes_before_a_product_and_a_product_before_all() -> None:
    overrides = (
        Override(Settings(power_limit_watts=300.0), uuid="gpu-1"),
        Override(Settings(power_limit_watts=400.0, compute_mode="prohibited"), product="nvidia h100*"),
    )
    cards = [card(0), card(1), card(2, name="NVIDIA A100-SXM4-80GB")]
    plans = plan_all(cards, Wanted(Settings(power_limit_watts=500.0), overrides))
    assert [one.wanted.power_limit_watts for one in plans] == [400.0, 300.0, 500.0]
    assert [one.wanted.compute_mode for one in plans] == ["prohibited", "prohibited", None]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ([Override(Settings(ecc=True), uuid="GPU-9")], "No GPU of this host is uuid GPU-9; there is GPU 0 "),
        ([Override(Settings(ecc=True), product="Tesla T4")], "No GPU of this host is product Tesla T4"),
        (
            [Override(Settings(ecc=True), product="*H100*"), Override(Settings(ecc=True), product="NVIDIA*")],
            r'GPU 0 \(.*\) is named twice, as product "\*H100\*" and "NVIDIA\*"',
        ),
    ],
)
def test_names_that_fit_none_or_twice_are_refused(overrides: list[Override], said: str) -> None:
    with pytest.raises(GroundworkError, match=said) as refused:
        plan_all([card()], Wanted(overrides=tuple(overrides)))
    assert "gpu_settings_by_gpu" in refused.value.remedy


def test_a_gpu_that_does_not_answer_is_refused_where_it_should_be_set() -> None:
    assert [one.actions for one in plan_all([card(), LOST], Wanted())] == [(), ()]
    with pytest.raises(GroundworkError, match="GPU 1 does not answer: NVML: GPU is lost") as refused:
        plan_all([card(), LOST], Wanted(Settings(power_limit_watts=300.0)))
    assert "reboot" in refused.value.remedy


def test_it_may_be_passed_by_and_may_be_the_one_that_is_named() -> None:
    wanted = Wanted(Settings(power_limit_watts=300.0), (Override(Settings(ecc=True), uuid="GPU-1"),))
    plans = plan_all([card(), LOST], wanted, pass_by_silent=True)
    assert [len(one.actions) for one in plans] == [1, 0]


@pytest.mark.parametrize(
    ("given", "wanted", "refused"),
    [
        ({}, {"power_limit_watts": 300.0, "locked_graphics_clocks_mhz": LOCK, "ecc": True}, False),
        ({}, {"ecc": False}, True),
        ({"ecc_pending": False}, {"ecc": True}, False),
        ({}, {"compute_mode": "exclusive_process"}, True),
        ({"compute_mode": "prohibited"}, {"compute_mode": "prohibited"}, False),
    ],
)
def test_what_running_programs_would_feel_needs_permission(
    given: dict[str, Any], wanted: dict[str, Any], refused: bool
) -> None:
    busy = [card(**given, processes=(TRAINING,))]
    assert plan_all(busy, Wanted(Settings(**wanted)), allow_disruption=True)
    if not refused:
        assert plan_all(busy, Wanted(Settings(**wanted)))
        return
    with pytest.raises(GroundworkError, match=r"in use: cannot set .*, used by python3 \(pid 4711\)") as error:
        plan_all(busy, Wanted(Settings(**wanted)))
    assert "gpu_settings_allow_disruption" in error.value.remedy


def test_what_was_declared_goes_back_to_the_cards_own() -> None:
    given = card(power_limit_watts=300.0, locked_graphics_clocks_mhz=LOCK, compute_mode="prohibited", ecc=False)
    declared = Settings(persistence_mode=True, power_limit_watts=9999.0, locked_graphics_clocks_mhz=LOCK, ecc=False)
    (found,) = plan_all([given], Wanted(declared, restore=True))
    assert found.actions == (
        Change("power_limit_watts", 700.0),
        Change("locked_graphics_clocks_mhz", FREE),
        Change("ecc", True),
    )
    gone = (Override(Settings(ecc=True), uuid="GPU-gone"),)
    assert [one.actions for one in plan_all([given], Wanted(overrides=gone, restore=True))] == [()]


@pytest.mark.parametrize("name", NAMES)
def test_a_forecast_is_what_a_second_run_finds(name: str) -> None:
    values = dataclasses.asdict(Settings(False, 300.0, LOCK, (1593, 2619), "prohibited", False))
    wanted = Settings(**{name: values[name]})
    after = forecast(card(), plan(card(), wanted).actions)
    assert after != card()
    assert plan(after, wanted).actions == ()


def _locks(clocks: tuple[int, ...]) -> st.SearchStrategy[tuple[int, ...]]:
    return st.just(FREE) | st.lists(st.sampled_from(clocks), min_size=2, max_size=2).map(lambda two: tuple(sorted(two)))


SETTINGS = st.builds(
    Settings,
    persistence_mode=st.booleans(),
    power_limit_watts=st.floats(200, 700),
    locked_graphics_clocks_mhz=_locks(GRAPHICS),
    locked_memory_clocks_mhz=_locks(tuple(clock for clock, _ in CLOCKS)),
    compute_mode=st.sampled_from(["default", "exclusive_process", "prohibited"]),
    ecc=st.booleans(),
)


def _attempt(was: Card, wanted: Settings) -> Plan | None:
    """None where it is refused."""
    try:
        return plan_all([was], Wanted(wanted))[0]
    except GroundworkError:
        return None


@drawn(SETTINGS, st.booleans(), SETTINGS, st.sets(st.sampled_from(NAMES)))
def test_from_any_state_what_is_declared_is_reached_and_the_rest_stays(
    found: Settings, pending: bool, declared: Settings, names: set[str]
) -> None:
    was = card(**dataclasses.asdict(found), ecc_pending=pending)
    wanted = Settings(**{name: getattr(declared, name) for name in names})
    planned = _attempt(was, wanted)
    assume(planned is not None)
    assert planned is not None
    now = forecast(was, planned.actions)
    assert plan(now, wanted).actions == ()
    assert now.ecc_pending == (pending if wanted.ecc is None else wanted.ecc)
    assert now.settings == dataclasses.replace(found.under(wanted), ecc=found.ecc)


@drawn(SETTINGS, st.booleans(), SETTINGS, st.sets(st.sampled_from(NAMES)))
def test_no_running_program_feels_what_nobody_permitted(
    found: Settings, pending: bool, declared: Settings, names: set[str]
) -> None:
    was = card(**dataclasses.asdict(found), ecc_pending=pending, processes=(TRAINING,))
    planned = _attempt(was, Settings(**{name: getattr(declared, name) for name in names}))
    for action in planned.actions if planned else ():
        assert action.setting != "compute_mode"
        assert action.setting != "ecc" or action.value == found.ecc
