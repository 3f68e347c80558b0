"""Strategy single and the layout that a host is to have, judged before either is there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.roles.preflight import found

SINGLE: dict[str, Any] = {
    "gpu_device_plugin_configurations": {
        "default": {"version": "v1", "flags": {"migStrategy": "mixed"}},
        "one": {"version": "v1", "flags": {"migStrategy": "single"}},
    },
    "gpu_device_plugin_configuration": "one",
}


def planned(*gpus: list[str] | None) -> dict[str, Any]:
    """What nvidia_mig forecasts: of each GPU its profiles, None where it is whole."""
    cards = [
        {"mode_current": "disabled" if gpu is None else "enabled", "instances": [{"profile": one} for one in gpu or ()]}
        for gpu in gpus
    ]
    return {"after": cards, "instances": [one for card in cards for one in card["instances"]]}


def verdict(values: dict[str, Any], layout: dict[str, Any] | None) -> tuple[str, str] | None:
    seen = {"hostvars": {"n1": {}, "n2": {}}, "site_admin_host": "", "__gpu_device_plugin_workloads": {}}
    seen |= {"__gpu_device_plugin_sharing": {"checks": []}, "__gpu_mig_found": layout} if layout else {}
    checks = found("gpu_device_plugin", **{"__gpu_device_plugin_sharing": {"checks": []}, **seen, **values})
    told = [check for check in checks if check["name"] == "gpu_device_plugin.single_has_one_kind"]
    return (told[0]["status"], told[0]["observed"]) if told else None


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (planned(["1g.10gb"] * 7, ["1g.10gb"] * 7), ("ok", "1g.10gb")),
        (planned(None, None), ("ok", "whole GPUs")),
        (planned(["1g.10gb", "3g.40gb"]), ("failed", "1g.10gb, 3g.40gb")),
        (planned(["1g.10gb"], None), ("failed", "1g.10gb, whole GPUs")),
        (planned(["1g.10gb"], []), ("failed", "1g.10gb, GPUs without an instance")),
        (None, None),
    ],
)
def test_strategy_single_needs_one_kind_of_device(layout: dict[str, Any] | None, expected: Any) -> None:
    assert verdict(SINGLE, layout) == expected


def test_strategy_mixed_takes_every_layout() -> None:
    assert verdict({}, planned(["1g.10gb", "3g.40gb"], None)) is None
