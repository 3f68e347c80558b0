"""What role gpu_settings makes of its variables, and of what its modules answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.roles.conftest import Role

NVML = {"available": True, "reason": None, "remedy": None}
FOUND: dict[str, Any] = {
    "actions": [],
    "reset_required": [],
    "after": [{}, {}],
    "nvml": NVML,
    "declaration": {"ecc": True},
}
STEP = {**FOUND, "actions": ["GPU 0 (GPU-0, H100): set power limit to 500 W"]}
WAITS = {**FOUND, "reset_required": [{"gpu": "GPU-0", "reason": "ECC changes at the next reset or reboot"}]}
ABSENT = {**FOUND, "nvml": {"available": False, "reason": "NVML Init: Driver Not Loaded", "remedy": "Load it."}}
REFUSED = {"failed": True, "msg": "GPU 0 has no ECC. Change it.", "remedy": "Change it."}
UNIT = {"actions": [], "unit": "groundwork-gpu-settings.service"}


@pytest.mark.parametrize(
    ("given", "declared"),
    [
        ({}, False),
        ({"gpu_settings_persistence_mode": False}, True),
        ({"gpu_settings_power_limit_watts": 300}, True),
        ({"gpu_settings_locked_graphics_clocks_mhz": [1410]}, True),
        ({"gpu_settings_compute_mode": "default"}, True),
        ({"gpu_settings_ecc": False}, True),
        ({"gpu_settings_by_gpu": [{"uuid": "GPU-0", "ecc": True}]}, True),
    ],
)
def test_what_is_not_declared_reaches_no_module(
    role: Callable[..., Role], given: dict[str, Any], declared: bool
) -> None:
    made = role("gpu_settings", **given)
    assert made.value("__gpu_settings_are_declared") is declared
    wanted = made.value("__gpu_settings_wanted")
    assert {name: value for name, value in wanted.items() if value not in (None, [])} == {
        name.removeprefix("gpu_settings_"): value for name, value in given.items()
    }


@pytest.mark.parametrize(
    ("found", "status", "observed"),
    [
        (FOUND, "ok", "all GPUs can have them; 0 steps to it"),
        (STEP, "ok", "all GPUs can have them; 1 steps to it"),
        (ABSENT, "skipped", "once the driver answers"),
        (REFUSED, "failed", "GPU 0 has no ECC."),
    ],
)
def test_preflight_says_whether_it_can_be(
    role: Callable[..., Role], found: dict[str, Any], status: str, observed: str
) -> None:
    check = role("gpu_settings", __gpu_settings_found=found).value("__gpu_settings_can_be_applied")
    assert check["status"] == status
    assert observed in check["observed"]
    assert check["remedy"] == found.get("remedy", "")


@pytest.mark.parametrize(
    ("found", "status", "observed", "remedy"),
    [
        (FOUND, "ok", "2 GPUs are as declared", "playbooks/gpu.yml"),
        (STEP, "failed", "1 steps away from it, the first: GPU 0 (GPU-0, H100): set power", "playbooks/gpu.yml"),
        (WAITS, "failed", "ECC waits for a reset or a reboot of GPU-0", "playbooks/gpu.yml"),
        (ABSENT, "failed", "NVML Init: Driver Not Loaded", "Load it."),
        (REFUSED, "failed", "GPU 0 has no ECC.", "Change it."),
    ],
)
def test_verify_says_what_is_missing(
    role: Callable[..., Role], found: dict[str, Any], status: str, observed: str, remedy: str
) -> None:
    check = role("gpu_settings", __gpu_settings_found=found).value("__gpu_settings_are_as_declared")
    assert check["status"] == status
    assert check["observed"].startswith(observed)
    assert remedy in check["remedy"]


@pytest.mark.parametrize(
    ("found", "unit", "status", "observed"),
    [
        (FOUND, UNIT, "ok", "is enabled, and its last start did well"),
        (FOUND, {**UNIT, "actions": ["start x"]}, "failed", "missing: start x"),
        (FOUND, {"failed": True, "msg": "systemctl failed"}, "failed", "systemctl failed"),
        (REFUSED, {"skipped": True}, "skipped", "what is declared is refused"),
    ],
)
def test_verify_says_whether_they_come_back(
    role: Callable[..., Role], found: dict[str, Any], unit: dict[str, Any], status: str, observed: str
) -> None:
    made = role("gpu_settings", __gpu_settings_found=found, __gpu_settings_unit=unit)
    check = made.value("__gpu_settings_come_back")
    assert check["status"] == status
    assert observed in check["observed"]


def test_the_unit_has_what_the_worker_takes(role: Callable[..., Role]) -> None:
    """ECC is left out: the card keeps it, and a boot must not ask for another."""
    arguments = role("gpu_settings", __gpu_settings_found=FOUND).value("__gpu_settings_at_boot")
    assert arguments["settings"] == {"ecc": True}
    assert "ecc" not in arguments["only"]
    assert set(arguments) == {"settings", "only", "allow_disruption", "timeout_seconds", "pass_by_silent"}
