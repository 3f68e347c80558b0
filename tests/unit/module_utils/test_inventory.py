"""Verdicts on inventories, in tables."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.groundwork.inventory import Inventory, check

GOOD: dict[str, Any] = {
    "groups": {"control_plane": ("a",), "workers": ("b",), "gpu_nodes": ("a", "b"), "racks": ("a", "b")},
    "addresses": {"a": "192.0.2.1", "b": "192.0.2.2"},
    "chosen": ("a", "b"),
}


def faults(**changes: Any) -> dict[str, str]:
    """The names of the checks that are not ok, with what was observed."""
    return {verdict.name: verdict.observed for verdict in check(Inventory(**GOOD | changes)) if verdict.status != "ok"}


def groups(**changes: tuple[str, ...]) -> dict[str, Any]:
    return {"groups": GOOD["groups"] | changes}


@pytest.mark.parametrize(
    ("changes", "fault", "observed"),
    [
        (groups(control_plane=(), workers=("a", "b")), "control_plane_exists", "none"),
        ({"chosen": ("b",)}, "control_plane_in_run", "this run has b"),
        (groups(control_plane=("a", "c")), "control_plane_is_odd", "2"),
        (groups(workers=("a", "b")), "kinds_are_distinct", "in control_plane and in workers: a"),
        (groups(gpu_nodes=("a", "c")), "gpu_nodes_are_nodes", "in gpu_nodes alone: c"),
        ({"addresses": {"a": "192.0.2.1", "b": "192.0.2.1"}}, "addresses_are_unique", "a and b are both 192.0.2.1"),
        (groups(gpu_node=("b",)), "groups_are_known", "a group gpu_node"),
        (groups(**{"GPU-nodes": ("b",)}), "groups_are_known", "a group GPU-nodes"),
    ],
)
def test_finds(changes: dict[str, Any], fault: str, observed: str) -> None:
    assert faults(**changes) == {f"site.{fault}": observed}


def test_accepts_a_good_one() -> None:
    assert faults() == {}


def test_accepts_the_smallest() -> None:
    smallest = Inventory({"control_plane": ("a",), "gpu_nodes": ("a",)}, {"a": "a"}, ("a",))
    assert {verdict.status for verdict in check(smallest)} == {"ok"}


def test_every_fault_has_a_remedy() -> None:
    worst = Inventory({"workers": ("a",), "control_planes": ("a",), "gpu_nodes": ("b",)}, {"a": "x", "b": "x"}, ())
    assert all(verdict.remedy for verdict in check(worst) if verdict.status != "ok")
