"""What is declared of settings."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu.settings import config
from ansible.module_utils.groundwork.gpu.settings.model import Override, Settings, Wanted


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, Settings()),
        ({"persistence_mode": None, "power_limit_watts": None, "compute_mode": "", "ecc": None}, Settings()),
        ({"locked_graphics_clocks_mhz": [], "locked_memory_clocks_mhz": None}, Settings()),
        ({"persistence_mode": False, "ecc": False}, Settings(persistence_mode=False, ecc=False)),
        ({"power_limit_watts": 400}, Settings(power_limit_watts=400.0)),
        ({"power_limit_watts": 333.33333}, Settings(power_limit_watts=333.333)),
        ({"locked_graphics_clocks_mhz": [1410]}, Settings(locked_graphics_clocks_mhz=(1410, 1410))),
        ({"locked_graphics_clocks_mhz": [210, 1410]}, Settings(locked_graphics_clocks_mhz=(210, 1410))),
        ({"compute_mode": "exclusive_process"}, Settings(compute_mode="exclusive_process")),
    ],
)
def test_what_is_not_declared_is_none(given: dict[str, Any], wanted: Settings) -> None:
    assert config.read(given) == Wanted(wanted)


def test_some_gpus_have_their_own() -> None:
    by_gpu = [{"uuid": "GPU-1", "ecc": False, "product": None}, {"product": "*H100*", "power_limit_watts": 500}]
    assert config.read({"by_gpu": by_gpu}).overrides == (
        Override(Settings(ecc=False), uuid="GPU-1"),
        Override(Settings(power_limit_watts=500.0), product="*H100*"),
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"power_limit": 400}, "no setting power_limit"),
        ({"power_limit_watts": 0}, "power_limit_watts is 0"),
        ({"power_limit_watts": -5}, "power_limit_watts is -5"),
        ({"locked_graphics_clocks_mhz": [1410, 210]}, r"locked_graphics_clocks_mhz is \[1410, 210\]"),
        ({"locked_memory_clocks_mhz": [1, 2, 3]}, r"locked_memory_clocks_mhz is \[1, 2, 3\]"),
        ({"locked_memory_clocks_mhz": [0]}, r"locked_memory_clocks_mhz is \[0\]"),
        ({"compute_mode": "exclusive"}, "no compute mode exclusive"),
        ({"by_gpu": [{"ecc": True}]}, "needs either uuid or product"),
        ({"by_gpu": [{"uuid": "GPU-1", "product": "x", "ecc": True}]}, "needs either uuid or product"),
        ({"by_gpu": [{"uuid": "GPU-1"}]}, "uuid GPU-1 declares nothing"),
        ({"by_gpu": [{"uuid": "GPU-1", "ecc": None}]}, "uuid GPU-1 declares nothing"),
        ({"by_gpu": [{"uuid": "GPU-1", "wind": 1}]}, "uuid GPU-1 has no setting wind"),
        ({"by_gpu": [{"uuid": "MIG-1", "ecc": True}]}, "a MIG device has no settings"),
        ({"by_gpu": [{"uuid": "GPU-1", "ecc": True}, {"uuid": "gpu-1", "ecc": False}]}, "uuid gpu-1 twice"),
        ({"by_gpu": [{"product": "A", "ecc": True}, {"product": "a", "ecc": True}]}, "product a twice"),
        ({"by_gpu": [{"uuid": "GPU-1", "power_limit_watts": -1}]}, "uuid GPU-1: power_limit_watts is -1"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(GroundworkError, match=said) as refused:
        config.read(given)
    assert refused.value.remedy
