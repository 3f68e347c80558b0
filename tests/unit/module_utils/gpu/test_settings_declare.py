"""A host's settings, from what is declared to what GPUs were told."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pynvml
import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu.settings import locks
from ansible.module_utils.groundwork.gpu.settings.declare import declare
from ansible.module_utils.groundwork.gpu.settings.model import FORGOTTEN

from tests.unit.module_utils.fakes import gpu_library, refuse
from tests.unit.module_utils.gpu.settings_cards import H100, Gpus, only_on

ALL: dict[str, Any] = {
    "persistence_mode": True,
    "power_limit_watts": 500,
    "locked_graphics_clocks_mhz": [210, 1410],
    "locked_memory_clocks_mhz": [2619],
    "compute_mode": "exclusive_process",
    "ecc": False,
}


@pytest.fixture(autouse=True)
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where locks are kept account of, and what stands for the driver's module."""
    monkeypatch.setattr(locks, "ACCOUNT", tmp_path / "run/locks.json")
    monkeypatch.setattr(locks, "MODULE", tmp_path / "module")
    return tmp_path / "run/locks.json"


@pytest.fixture
def gpus(tmp_path: Path) -> Gpus:
    return Gpus(tmp_path)


def run(gpus: Gpus, settings: dict[str, Any], change: bool = True, **options: Any) -> dict[str, Any]:
    given = {"allow_disruption": False, "timeout_seconds": 20.0, "library": gpus.library(), **options}
    return declare(settings, change=change, **given)


def test_every_setting_reaches_every_gpu(gpus: Gpus) -> None:
    gpus.set(1, persistence=0)
    found = run(gpus, ALL)
    assert found["changed"] is True
    assert sorted(gpus.calls) == sorted(
        [name, gpu, *values]
        for gpu in (0, 1)
        for name, *values in (
            *([("SetPersistenceMode", 1)] if gpu else []),
            ("SetPowerManagementLimit", 500000),
            ("SetGpuLockedClocks", 210, 1410),
            ("SetMemoryLockedClocks", 2619, 2619),
            ("SetComputeMode", 3),
            ("SetEccMode", 0),
        )
    )
    told = found["after"][0]
    assert {name: told[name] for name in ALL} == {**ALL, "locked_memory_clocks_mhz": [2619, 2619], "ecc": True}
    assert told["ecc_pending"] is False
    assert [one["gpu"] for one in found["reset_required"]] == ["GPU-0", "GPU-1"]
    assert f"GPU 1 (GPU-1, {H100}): set persistence mode to on" in found["actions"]
    assert "power limit: 700 W" in found["diff"]["before"]
    assert "  ECC: on, off after a reset\n" in found["diff"]["after"]


def test_a_second_run_changes_nothing_and_sets_locks_again(gpus: Gpus) -> None:
    run(gpus, ALL)
    before = gpus.calls
    found = run(gpus, ALL)
    assert (found["changed"], found["actions"], found["diff"]["before"]) == (False, [], found["diff"]["after"])
    assert len(found["reset_required"]) == 2
    again = sorted(gpus.calls[len(before) :])
    assert [name for name, *_ in again] == ["SetGpuLockedClocks"] * 2 + ["SetMemoryLockedClocks"] * 2


def test_check_mode_tells_what_a_run_makes(gpus: Gpus) -> None:
    forecast = run(gpus, ALL, change=False)
    assert gpus.calls == []
    found = run(gpus, ALL)
    assert {name: found[name] for name in forecast} == forecast


def test_after_a_reboot_the_forgotten_ones_are_set_again(gpus: Gpus, account: Path) -> None:
    run(gpus, ALL)
    gpus.reboot()
    account.unlink()
    found = run(gpus, ALL, only=FORGOTTEN, pass_by_silent=True)
    assert (found["changed"], found["reset_required"]) == (True, [])
    assert gpus[0] == {
        "persistence": 1,
        "power": 500000,
        "compute": 3,
        "ecc": [0, 0],
        "gpu_lock": [210, 1410],
        "memory_lock": [2619, 2619],
    }
    assert run(gpus, ALL)["changed"] is False


def test_a_driver_loaded_anew_has_no_locks(gpus: Gpus, tmp_path: Path) -> None:
    lock = {"locked_graphics_clocks_mhz": [1410]}
    (tmp_path / "module").mkdir()
    run(gpus, lock)
    assert run(gpus, lock, change=False)["changed"] is False
    (tmp_path / "other").mkdir()  # while the first is there, so that it has another number
    (tmp_path / "module").rmdir()
    (tmp_path / "other").rename(tmp_path / "module")
    assert run(gpus, lock, change=False)["changed"] is True


@pytest.mark.parametrize(
    "text", ["", "[]", '{"driver": 0}', '{"driver": 0, "gpus": {"GPU-0": {"locked_graphics_clocks_mhz": 1}}}']
)
def test_an_account_that_cannot_be_read_is_none(account: Path, text: str) -> None:
    account.parent.mkdir()
    account.write_text(text)
    assert locks.read() == {}


def test_the_account_has_only_what_is_locked(gpus: Gpus, account: Path) -> None:
    run(gpus, {"by_gpu": [{"uuid": "GPU-1", "locked_graphics_clocks_mhz": [1410]}]})
    assert json.loads(account.read_text())["gpus"] == {"GPU-1": {"locked_graphics_clocks_mhz": [1410, 1410]}}
    run(gpus, {"locked_graphics_clocks_mhz": [1410]}, restore=True)
    assert json.loads(account.read_text())["gpus"] == {}
    assert gpus[1]["gpu_lock"] is None


def test_what_was_declared_goes_back(gpus: Gpus) -> None:
    fresh = gpus[0]
    run(gpus, ALL)
    run(gpus, ALL, restore=True)
    assert gpus[0] == fresh
    assert run(gpus, ALL, restore=True)["changed"] is False


def test_nothing_is_changed_where_one_gpu_is_refused(gpus: Gpus) -> None:
    settings = {"power_limit_watts": 500, "by_gpu": [{"uuid": "GPU-1", "power_limit_watts": 900}]}
    with pytest.raises(GroundworkError, match=r"GPU 1 .* takes a power limit of 200 to 700 W, not 900 W"):
        run(gpus, settings)
    assert gpus.calls == []


def test_a_step_that_fails_is_told_and_others_are_done(gpus: Gpus, account: Path) -> None:
    """What was locked on the GPU that failed is not taken for done."""
    refuses = only_on(0, pynvml.NVML_ERROR_UNKNOWN, gpus.library().nvmlDeviceSetComputeMode)
    with pytest.raises(GroundworkError) as failed:
        run(gpus, ALL, library=gpus.library(DeviceSetComputeMode=refuses))
    assert f"GPU 0 (GPU-0, {H100}): cannot set compute mode to exclusive_process: NVML" in failed.value.message
    assert "dmesg" in failed.value.remedy
    assert (gpus[0]["compute"], gpus[1]["compute"], gpus[1]["power"]) == (0, 3, 500000)
    assert list(json.loads(account.read_text())["gpus"]) == ["GPU-1"]


def test_a_gpu_that_hangs_costs_one_deadline_and_is_named(gpus: Gpus) -> None:
    set_limit = gpus.library().nvmlDeviceSetPowerManagementLimit

    def hang(handle: int, limit: int) -> None:
        if handle == 0:
            time.sleep(600)
        set_limit(handle, limit)

    began = time.monotonic()
    with pytest.raises(GroundworkError, match="No answer in time from GPU 0"):
        run(gpus, ALL, timeout_seconds=1.0, library=gpus.library(DeviceSetPowerManagementLimit=hang))
    assert time.monotonic() - began < 20
    assert gpus[1]["power"] == 500000


def test_at_a_boot_a_lost_gpu_keeps_no_other_from_its_settings(gpus: Gpus) -> None:
    lost = gpus.library(DeviceGetHandleByIndex=only_on(0, pynvml.NVML_ERROR_GPU_IS_LOST, lambda index: index))
    with pytest.raises(GroundworkError, match="GPU 0 does not answer"):
        run(gpus, ALL, library=lost)
    assert gpus.calls == []
    with pytest.raises(GroundworkError, match="GPU 0 does not answer") as told:
        run(gpus, ALL, library=lost, pass_by_silent=True)
    assert "reboot" in told.value.remedy
    assert (gpus[0]["power"], gpus[1]["power"]) == (700000, 500000)


@pytest.mark.parametrize(("settings", "changed"), [(ALL, True), ({}, False)])
def test_without_a_driver_check_mode_tells_what_is_to_come(settings: dict[str, Any], changed: bool) -> None:
    library = gpu_library(Init=refuse(pynvml.NVML_ERROR_DRIVER_NOT_LOADED))
    found = declare(settings, False, 5.0, change=False, library=library)
    assert (found["changed"], bool(found["actions"]), found["nvml"]["available"]) == (changed, changed, False)
    with pytest.raises(GroundworkError, match="Driver Not Loaded"):
        declare(settings, False, 5.0, change=True, library=library)


def test_a_card_that_tells_little_can_be_observed(gpus: Gpus) -> None:
    """As a consumer's card does; what is not declared of it does not matter."""
    no = refuse(pynvml.NVML_ERROR_NOT_SUPPORTED)
    silent = ("EccMode", "DefaultEccMode", "MigMode", "SupportedMemoryClocks", "PowerManagementLimitConstraints")
    library = gpus.library(**{f"DeviceGet{name}": no for name in silent})
    found = run(gpus, {"persistence_mode": True}, library=library)
    assert (found["changed"], found["after"][0]["ecc"]) == (False, None)
