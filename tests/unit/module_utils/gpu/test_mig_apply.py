"""The steps through NVML: what comes true, and what is left of a plan whose step fails."""

from __future__ import annotations

import dataclasses
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
from ansible.module_utils.groundwork import child
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import nvml, pods, read
from ansible.module_utils.groundwork.gpu.mig import observe
from ansible.module_utils.groundwork.gpu.mig.apply import apply, apply_all
from ansible.module_utils.groundwork.gpu.mig.declare import declare
from ansible.module_utils.groundwork.gpu.mig.model import Card, Layout, Placement, Plan
from ansible.module_utils.groundwork.gpu.mig.plan import plan
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.module_utils.gpu.fake_mig import IN_USE, NO_RESOURCES, RESET_REQUIRED, Device, FakeMig, Part, device
from tests.unit.module_utils.gpu.mig_cards import H100, card, cut, instance, process, taken
from tests.unit.module_utils.gpu.mig_strategies import any_way


@pytest.fixture(scope="module", autouse=True)
def inline() -> Iterator[None]:
    """Children are of this process: what they do to the driver in memory is to be seen."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(child, "call", lambda work, _seconds, _what: work())
        patch.setattr(child, "start", lambda work, _what: work)
        patch.setattr(child, "result", lambda work, _deadline: work())
        yield


def observed(driver: FakeMig, index: int = 0) -> Card:
    with nvml.session(driver) as opened:
        return observe.card(opened, index)


def planned(driver: FakeMig, wanted: Layout) -> Plan:
    found = observed(driver)
    return Plan(found, plan(found, wanted, allow_disruption=True))


BALANCED = Layout(True, (("3g.40gb", 1), ("2g.20gb", 1), ("1g.10gb", 2)))
SEVEN = Layout(True, (("1g.10gb", 7),))


def idle(found: Card) -> Card:
    return dataclasses.replace(found, processes=())


def refusal(steps: Plan, driver: FakeMig) -> str:
    """What is told of a plan that fails; empty for one that does not."""
    try:
        apply(steps, 60, driver)
    except GroundworkError as error:
        return error.message
    return ""


@given(any_way())
def test_any_valid_layout_is_reached_from_any_state(way: tuple[Card, Layout]) -> None:
    found, wanted = way
    driver = FakeMig(device(idle(found)))
    assert apply(planned(driver, wanted), 60, driver) == ""
    after = driver.devices[0]
    assert Counter(one.profile.name for one in after.instances) == dict(wanted.counts)
    assert all([part.slices for part in one.parts] == [one.profile.slices] for one in after.instances)
    assert (after.mode, after.pending) == (wanted.enabled, wanted.enabled)
    assert planned(driver, wanted).actions == ()


@given(any_way(), st.integers(0, 30))
def test_a_change_that_fails_leaves_the_gpu_as_it_was(way: tuple[Card, Layout], number: int) -> None:
    """Whichever call it is that NVML refuses, a compute instance of an instance that was half made among them."""
    found, wanted = way
    driver = FakeMig(device(idle(found)))
    steps = planned(driver, wanted)
    mode, _, instances = driver.devices[0].shape
    driver.fail = {number: NO_RESOURCES}
    told = refusal(steps, driver)
    assert bool(told) == (driver.changes > number)
    if told:
        assert str(steps.card) in told
        assert ("taken back: " in told) != ("nothing was changed" in told)
        assert driver.devices[0].shape[::2] == (mode, instances)


@given(any_way(), st.integers(0, 30))
def test_what_cannot_be_taken_back_is_told_to_the_step(way: tuple[Card, Layout], number: int) -> None:
    """NVML refuses every change from some call on: what is there are the steps that the message says have stayed."""
    found, wanted = way
    driver = FakeMig(device(idle(found)))
    steps = planned(driver, wanted)
    driver.fail = dict.fromkeys(range(number, 200), NO_RESOURCES)
    told = refusal(steps, driver)
    assert bool(told) == (driver.changes > number)
    listed = told.rpartition("): ")[2].split(", ") if "could not be taken back" in told else []
    stayed = [one for one in steps.actions if str(one) in listed or not told]
    expected = Counter(one.placement for one in taken(steps.card, stayed).instances)
    there = Counter(one.placement for one in observed(driver).instances)
    half = re.findall(r"half-made instance is left at (\d+):(\d+)", told)
    assert there == expected + Counter(Placement(int(start), int(size)) for start, size in half)


@given(any_way())
def test_no_process_loses_its_instance_unless_nvml_gives_it(way: tuple[Card, Layout]) -> None:
    """Even with leave to disturb: NVML refuses, and what was changed before that is as it was."""
    found, wanted = way
    driver = FakeMig(device(found))
    instances = driver.devices[0].shape[2]
    steps = planned(driver, wanted)
    if told := refusal(steps, driver):
        assert "pid 4711" in told
        assert driver.devices[0].shape[2] == instances
    held = {one.gpuInstanceId for one in driver.devices[0].processes}
    assert held <= {one.number for one in driver.devices[0].instances}


def test_a_failure_names_the_gpu_the_step_the_reason_and_what_was_taken_back() -> None:
    driver = FakeMig(device(cut(instance("7g.80gb", 0))))
    steps = planned(driver, BALANCED)
    driver.fail = {5: NO_RESOURCES}  # destroy part, destroy, create, create part, create, create part
    with pytest.raises(GroundworkError) as raised:
        apply(steps, 60, driver)
    assert raised.value.message == (
        "GPU 0 (GPU-0, NVIDIA H100): cannot create 2g.20gb at 0:2: NVML GpuInstanceCreateComputeInstance: "
        "NVML Error with code 23; taken back: create 3g.40gb at 4:4, destroy 7g.80gb at 0:8"
    )
    assert "nvidia-smi mig -lgi" in raised.value.remedy
    assert driver.devices[0].shape == (True, True, (("7g.80gb", 0, (7,)),))


def test_a_split_instance_comes_back_split() -> None:
    driver = FakeMig(device(cut(instance("7g.80gb", 0))))
    driver.devices[0].instances[0].parts = [Part(0, 3), Part(1, 4)]
    steps = planned(driver, SEVEN)
    driver.fail = {3: NO_RESOURCES}
    with pytest.raises(GroundworkError, match="taken back: destroy 7g"):
        apply(steps, 60, driver)
    assert driver.devices[0].shape[2] == (("7g.80gb", 0, (3, 4)),)


def test_what_uses_an_instance_is_named_with_its_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods, "of", lambda _pid, _proc: "team-a/train-0")
    monkeypatch.setattr(read, "_process_name", lambda _pid, _proc: "python3")
    driver = FakeMig(device(cut(instance("1g.10gb", 0), processes=(process(10),))))
    with pytest.raises(GroundworkError) as raised:
        apply(planned(driver, Layout(False)), 60, driver)
    assert "used by python3 (pid 4711, pod team-a/train-0); nothing was changed on it" in raised.value.message
    assert "drain the node" in raised.value.remedy


@pytest.mark.parametrize(("reset", "reason"), [(True, "GPU requires reset"), (False, "")])
def test_a_mode_that_waits_for_a_reset_is_told_and_nothing_more_is_tried(reset: bool, reason: str) -> None:
    driver = FakeMig(Device(0, H100, reset_required=reset))
    assert apply(planned(driver, SEVEN), 60, driver) == reason
    assert (driver.devices[0].mode, driver.devices[0].pending) == (not reset, True)
    assert len(driver.devices[0].instances) == (0 if reset else 7)


def test_a_mode_that_somebody_asked_for_is_not_waited_for_twice() -> None:
    """Pending, and as declared: after the reset nothing is left to do but the instances."""
    driver = FakeMig(Device(0, H100, pending=True, reset_required=True))
    assert apply(planned(driver, SEVEN), 60, driver) == "GPU requires reset"
    driver.devices[0].mode = True  # the reset
    assert apply(planned(driver, SEVEN), 60, driver) == ""
    assert driver.devices[0].shape[2] == tuple(("1g.10gb", start, (1,)) for start in range(7))


def test_gpus_changed_before_one_that_fails_are_named() -> None:
    driver = FakeMig(Device(0, H100), Device(1, H100), Device(2, H100, True, True))
    plans = [Plan(found, plan(found, wanted)) for found, wanted in zip(
        (observed(driver, index) for index in (2, 0, 1)), (Layout(True), SEVEN, SEVEN), strict=True)]  # fmt: skip
    driver.fail = {16: NO_RESOURCES}
    with pytest.raises(GroundworkError) as raised:
        apply_all(plans, 60, driver)
    assert "GPU 1 (GPU-1" in raised.value.message.partition(": cannot")[0]
    assert raised.value.message.endswith("; changed before it: GPU 0 (GPU-0, NVIDIA H100)")


def test_a_gpu_that_gives_no_answer_is_told_with_the_step_that_it_was_in(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeMig(Device(0, H100))
    steps = planned(driver, Layout(True, (("3g.40gb", 2),)))

    def hang(work: Callable[[], Any], _seconds: float, what: str) -> Any:
        driver.fail = {3: IN_USE}
        monkeypatch.setattr(driver, "_change", _hanging(driver))
        try:
            return work()
        except TimeoutError:
            raise child.DeadlineError(f"No answer in time from {what}", "Reboot.") from None

    monkeypatch.setattr(child, "call", hang)
    with pytest.raises(GroundworkError) as raised:
        apply(steps, 60, driver)
    assert raised.value.message == (
        "No answer in time from GPU 0 (GPU-0, NVIDIA H100) while it should create 3g.40gb at 4:4; steps done before: "
        "enable MIG mode, create 3g.40gb at 0:4"
    )


def _hanging(driver: FakeMig) -> Callable[[str], None]:
    """The fourth change gives no answer."""

    def change(what: str) -> None:
        driver.log.append(what)
        if len(driver.log) > 3:
            raise TimeoutError

    return change


def test_a_whole_host(tmp_path: Path) -> None:
    """Observe, plan and apply, and a second time without a change."""
    driver = FakeMig(Device(0, H100), Device(1, ()))
    given: dict[str, Any] = {"config": {}, "allow_disruption": False, "timeout_seconds": 5, "library": driver}
    given |= {"selected": "all-3g.40gb", "lock": tmp_path / "lock"}
    would = declare(**given, change=False)
    assert (would["changed"], len(would["actions"]), driver.changes) == (True, 3, 0)
    did = declare(**given, change=True)
    assert did["changed"]
    assert did["diff"]["after"] == would["diff"]["after"]
    assert [one["profile"] for one in did["instances"]] == ["3g.40gb", "3g.40gb"]
    again = declare(**given, change=True)
    assert (again["changed"], again["actions"], again["device_uuids"]) == (False, [], did["device_uuids"])


def test_whom_a_plan_would_disturb_is_told(tmp_path: Path) -> None:
    driver = FakeMig(device(cut(instance("1g.10gb", 0), processes=(process(10),))))
    given: dict[str, Any] = {"config": {}, "allow_disruption": True, "timeout_seconds": 5, "library": driver}
    would = declare(**given, selected="all-disabled", lock=tmp_path / "lock", change=False)
    told = [(one["gpu"], one["step"], one["pid"], one["pod"]) for one in would["disturbed"]]
    assert told == [("GPU-0", "destroy 1g.10gb at 0:1", 4711, None), ("GPU-0", "disable MIG mode", 4711, None)]


def test_two_changes_of_one_host_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeMig(Device(0, H100))
    given: dict[str, Any] = {"config": {}, "allow_disruption": False, "timeout_seconds": 0, "library": driver}
    given |= {"selected": "all-enabled", "lock": tmp_path / "lock"}

    def meanwhile(*_arguments: object) -> list[object]:
        with pytest.raises(GroundworkError, match="Another change of this host's MIG layout does not end") as raised:
            declare(**given, change=True)
        assert "groundwork-gpu-mig.service" in raised.value.remedy
        assert declare(**given, change=False)["changed"], "who only asks waits for nobody"
        return []

    monkeypatch.setattr("ansible.module_utils.groundwork.gpu.mig.declare.apply_all", meanwhile)
    began = time.monotonic()
    declare(**given, change=True)
    assert time.monotonic() - began < 5


def test_the_stand_in_refuses_what_nvml_refuses() -> None:
    driver = FakeMig(device(card("enabled", processes=(process(3),))))
    gpu = driver.devices[0]
    place = SimpleNamespace(contents=SimpleNamespace(start=0, size=4))
    driver.device_create_gpu_instance_with_placement(gpu, 9, place)
    for wrong in (place, SimpleNamespace(contents=SimpleNamespace(start=1, size=4))):
        with pytest.raises(pynvml.NVMLError):
            driver.device_create_gpu_instance_with_placement(gpu, 9, wrong)
    assert driver.device_set_mig_mode(gpu, 0) == IN_USE
    assert RESET_REQUIRED != IN_USE
