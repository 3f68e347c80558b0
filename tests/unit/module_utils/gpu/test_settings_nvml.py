"""A declaration on its way through NVML: what is asked of it in which unit, and what is left where it refuses."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
from ansible.module_utils.groundwork import child
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import nvml
from ansible.module_utils.groundwork.gpu.settings import config
from ansible.module_utils.groundwork.gpu.settings.apply import apply
from ansible.module_utils.groundwork.gpu.settings.model import FREE, NAMES, Card, Plan, Settings, text, to_dict
from ansible.module_utils.groundwork.gpu.settings.observe import card
from ansible.module_utils.groundwork.gpu.settings.plan import forecast, plan, plan_all
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.module_utils.fakes import refuse
from tests.unit.module_utils.gpu.settings_cards import CLOCKS, GRAPHICS, TRAINING, Gpus

Store = dict[str, Any]
MODES = {"default": 0, "exclusive_process": 3, "prohibited": 2}
"""nvmlComputeMode_t of nvml.h; 1 was exclusive to a thread, and is gone."""
FIELDS = {
    "persistence_mode": "persistence",
    "power_limit_watts": "power",
    "locked_graphics_clocks_mhz": "gpu_lock",
    "locked_memory_clocks_mhz": "memory_lock",
    "compute_mode": "compute",
    "ecc": "ecc",
}


@pytest.fixture(autouse=True)
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children are of this process: what they do to the GPUs in memory is to be seen."""
    monkeypatch.setattr(child, "start", lambda work, _what: work)
    monkeypatch.setattr(child, "result", lambda work, _deadline: work())


class InMemory(Gpus):
    """The same GPUs without a file, for the many that a property draws."""

    def __init__(self, *gpus: Store) -> None:
        self.text = json.dumps({"calls": [], "gpus": gpus})
        self.file: Any = SimpleNamespace(read_text=lambda: self.text)

    @contextlib.contextmanager
    def _state(self) -> Iterator[Store]:
        state = json.loads(self.text)
        yield state
        self.text = json.dumps(state)


def store(**values: Any) -> Store:
    fresh = {"persistence": 1, "power": 700000, "compute": 0, "ecc": [1, 1], "gpu_lock": None, "memory_lock": None}
    return {**fresh, **values}


def observed(gpus: Gpus, index: int = 0, library: Any = None) -> Card:
    """With an account of the locks that is true."""
    told = gpus[index]
    locks = {
        name: tuple(told[FIELDS[name]])
        for name in ("locked_graphics_clocks_mhz", "locked_memory_clocks_mhz")
        if told[FIELDS[name]]
    }
    with nvml.session(library or gpus.library()) as opened:
        return card(opened, index, {f"GPU-{index}": locks})


def pair(clocks: tuple[int, ...]) -> st.SearchStrategy[list[int]]:
    return st.lists(st.sampled_from(clocks), min_size=2, max_size=2).map(sorted)


MEMORY = tuple(clock for clock, _ in CLOCKS)
STORES = st.builds(
    store,
    persistence=st.sampled_from([0, 1]),
    power=st.integers(200000, 700000),
    compute=st.sampled_from([*MODES.values()]),
    ecc=st.lists(st.sampled_from([0, 1]), min_size=2, max_size=2),
    gpu_lock=st.none() | pair(GRAPHICS),
    memory_lock=st.none() | pair(MEMORY),
)
DECLARED = st.fixed_dictionaries(
    {},
    optional={
        "persistence_mode": st.booleans(),
        "power_limit_watts": st.floats(190, 710) | st.just(256.001),  # which times 1000 is less than 256001
        "locked_graphics_clocks_mhz": pair(GRAPHICS),
        "locked_memory_clocks_mhz": pair(MEMORY),
        "compute_mode": st.sampled_from([*MODES]),
        "ecc": st.booleans(),
    },
)


def accepted(gpus: Gpus, declared: dict[str, Any]) -> Plan | None:
    """The plan; None where the declaration is refused."""
    try:
        return plan_all([observed(gpus)], config.read(declared))[0]
    except GroundworkError:
        return None


@given(STORES, DECLARED)
def test_what_is_accepted_comes_true_as_forecast_and_is_no_change_again(was: Store, declared: dict[str, Any]) -> None:
    """Whatever number is declared: NVML counts in mW, and what it tells then is what was asked for."""
    gpus = InMemory(was)
    planned = accepted(gpus, declared)
    if planned is None:
        assert gpus.calls == []
        return
    assert [error for _, error in apply([planned], 5, gpus.library())] in ([], [None])
    now = observed(gpus)
    assert now == forecast(planned.card, planned.actions)
    assert plan(now, planned.wanted).actions == ()


@given(STORES, DECLARED)
def test_nothing_is_touched_that_was_not_declared(was: Store, declared: dict[str, Any]) -> None:
    gpus = InMemory(was)
    planned = accepted(gpus, declared)
    apply([planned] if planned else [], 5, gpus.library())
    kept = {FIELDS[name] for name in NAMES if name not in declared}
    assert {name: gpus[0][name] for name in kept} == {name: was[name] for name in kept}
    assert gpus[0]["ecc"][0] == was["ecc"][0], "ECC itself changes at a reset alone"


@pytest.mark.parametrize(("mode", "number"), MODES.items())
def test_compute_modes_have_nvmls_numbers(mode: str, number: int) -> None:
    gpus = InMemory(store(compute=MODES["prohibited"] if mode == "default" else 0))
    planned = plan(observed(gpus), Settings(compute_mode=mode))
    apply([planned], 5, gpus.library())
    assert gpus.calls == [["SetComputeMode", 0, number]]


def test_a_lock_that_goes_is_reset_and_not_set_to_something_wide() -> None:
    gpus = InMemory(store(gpu_lock=[210, 1410], memory_lock=[2619, 2619]))
    planned = plan(observed(gpus), Settings(locked_graphics_clocks_mhz=FREE, locked_memory_clocks_mhz=FREE))
    apply([planned], 5, gpus.library())
    assert gpus.calls == [["ResetGpuLockedClocks", 0], ["ResetMemoryLockedClocks", 0]]


WHOLE: dict[str, Any] = {
    "persistence_mode": True,
    "power_limit_watts": 500.0,
    "locked_graphics_clocks_mhz": (210, 1410),
    "locked_memory_clocks_mhz": (2619, 2619),
    "compute_mode": "exclusive_process",
    "ecc": False,
}
FUNCTIONS = {
    "persistence_mode": ("DeviceSetPersistenceMode", "set persistence mode to on"),
    "power_limit_watts": ("DeviceSetPowerManagementLimit", "set power limit to 500 W"),
    "locked_graphics_clocks_mhz": ("DeviceSetGpuLockedClocks", "set graphics clocks to 210 to 1410 MHz"),
    "locked_memory_clocks_mhz": ("DeviceSetMemoryLockedClocks", "set memory clocks to 2619 MHz"),
    "compute_mode": ("DeviceSetComputeMode", "set compute mode to exclusive_process"),
    "ecc": ("DeviceSetEccMode", "set ECC to off"),
}


def failed(gpus: Gpus, function: str, code: int, **changes: Any) -> GroundworkError:
    """The error of a GPU that gets all settings, and refuses one."""
    found = dataclasses.replace(observed(gpus), **changes)
    [(_, error)] = apply([plan(found, Settings(**WHOLE))], 5, gpus.library(**{function: refuse(code)}))
    assert error is not None
    return error


@pytest.mark.parametrize("name", NAMES)
def test_a_refused_step_is_named_those_before_it_stay_and_none_follows(name: str) -> None:
    gpus = InMemory(store(persistence=0))
    function, step = FUNCTIONS[name]
    error = failed(gpus, function, pynvml.NVML_ERROR_NO_PERMISSION)
    assert error.message.startswith("GPU 0 (GPU-0, NVIDIA H100 80GB HBM3): cannot ")
    assert f"cannot {step}: NVML {function}: " in error.message
    assert error.remedy == "Run as root."
    done = [FUNCTIONS[one][0].removeprefix("Device") for one in NAMES[: NAMES.index(name)]]
    assert [call for call, *_ in gpus.calls] == done


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (pynvml.NVML_ERROR_GPU_IS_LOST, "reboot"),
        (pynvml.NVML_ERROR_NOT_SUPPORTED, "dmesg"),
        (pynvml.NVML_ERROR_UNKNOWN, "device cgroup"),
        (pynvml.NVML_ERROR_RESET_REQUIRED, "--gpu-reset"),
    ],
)
def test_a_refusal_has_the_remedy_of_its_code_and_accuses_no_program(code: int, remedy: str) -> None:
    """Also what a GPU does not support is a refusal here: it was declared."""
    error = failed(InMemory(store()), "DeviceSetPowerManagementLimit", code, processes=(TRAINING,))
    assert remedy in error.remedy
    assert "used by" not in error.message


def test_where_a_gpu_is_in_use_its_programs_are_named() -> None:
    error = failed(InMemory(store()), "DeviceSetEccMode", pynvml.NVML_ERROR_IN_USE, processes=(TRAINING,))
    assert error.message.endswith("; used by python3 (pid 4711)")
    assert "drain the node" in error.remedy


def test_gpus_that_are_as_declared_are_not_opened() -> None:
    """A session wakes a GPU without persistence mode; one that needs nothing is left asleep."""

    def fail(*_: object) -> None:
        raise AssertionError("opened")

    gpus = InMemory(store())
    assert apply([plan(observed(gpus), Settings(ecc=True))], 5, SimpleNamespace(nvmlInit=fail)) == []


@pytest.mark.parametrize("missing", ["DeviceGetEccMode", "DeviceGetSupportedMemoryClocks", "DeviceGetPersistenceMode"])
def test_what_a_gpu_does_not_tell_is_null_and_neither_shown_nor_off(missing: str) -> None:
    gpus = InMemory(store())
    found = observed(gpus, library=gpus.library(**{missing: refuse(pynvml.NVML_ERROR_NOT_SUPPORTED)}))
    names: dict[str, str] = {"DeviceGetEccMode": "ecc", "DeviceGetPersistenceMode": "persistence_mode"}
    if missing in names:
        assert to_dict(found)[names[missing]] is None
    else:
        assert found.clocks == ()
    assert ("ECC" in text([found]), "persistence mode" in text([found])) == (
        missing != "DeviceGetEccMode",
        missing != "DeviceGetPersistenceMode",
    )


@pytest.mark.parametrize(
    ("low", "high", "watts", "taken"),
    [(200000, 700000, 200.0, True), (200000, 700000, 700.0, True), (200500, 700000, 200.0, False)],
)
def test_the_range_of_power_is_the_cards_to_the_milliwatt(low: int, high: int, watts: float, taken: bool) -> None:
    gpus = InMemory(store())
    library = gpus.library(DeviceGetPowerManagementLimitConstraints=(low, high))
    wanted = config.read({"power_limit_watts": watts})
    cards = [observed(gpus, library=library)]
    if taken:
        assert plan_all(cards, wanted)[0].wanted.power_limit_watts == watts
    else:
        with pytest.raises(GroundworkError, match=r"takes a power limit of 200\.5 to 700 W, not 200 W"):
            plan_all(cards, wanted)
