"""What stops a change of a MIG layout before a node is touched, and where the admin host is found under --limit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.roles.conftest import Role

NODES = [{"name": "n1", "ready": True}, {"name": "n2", "ready": True}]
PLANNED: dict[str, Any] = {
    "actions": ["GPU 0 (GPU-a, NVIDIA H100): create 1g.10gb at 0:1"],
    "disturbed": [],
    "device_uuids": ["MIG-a"],
    "nvml": {"available": True, "reason": None, "remedy": None},
}
REACHED = {**PLANNED, "actions": []}
PLUGIN = "nvidia-device-plugin/nvidia-device-plugin"
DRAIN: dict[str, Any] = {"holders": [], "interrupted": False, "daemonsets": [PLUGIN]}
NAMES = [
    "layout_can_be_applied",
    "cluster_is_healthy",
    "device_plugin_makes_room",
    "nobody_is_in_the_way",
    "layout_is_the_inventorys",
]
TRAIN = "team-a/train-0 (1 nvidia.com/gpu)"


def role(**changed: Any) -> Role:
    """The role on n2, after its tasks looked at everything."""
    inventory = {"rc": 0, "stdout": json.dumps(changed.pop("inventory", {"gpu_mig_layout": "all-1g.10gb"}))}
    seen = {
        "inventory_hostname": "n2",
        "site_admin_host": "n1",
        "gpu_mig_layout": "all-1g.10gb",
        "__gpu_mig_venv": {"stat": {"exists": True}},
        "__gpu_mig_found": PLANNED,
        "__gpu_mig_cdi": {"stdout": "nvidia.com/gpu=0:0\nnvidia.com/gpu=MIG-a\n"},
        "__gpu_mig_boot": {"actions": []},
        "__gpu_mig_microk8s": {"node_name": "n2"},
        "__gpu_mig_cluster": {"nodes": NODES},
        "__gpu_mig_drain": DRAIN,
        "__gpu_mig_inventory": inventory,
    }
    return Role("gpu_mig", **{**seen, **changed})


def verdicts(**changed: Any) -> dict[str, dict[str, str]]:
    checks = role(**changed).value("__gpu_mig_change_checks")
    assert [check["name"] for check in checks] == [f"gpu_mig.{name}" for name in NAMES]
    assert all(check["remedy"] for check in checks if check["status"] in ("failed", "warning"))
    return {check["name"].removeprefix("gpu_mig."): check for check in checks}


def wrong(**changed: Any) -> dict[str, str]:
    """What is not as it should be, by check, as it was observed."""
    found = verdicts(**changed)
    return {name: check["observed"].strip() for name, check in found.items() if check["status"] != "ok"}


def test_nothing_is_wrong() -> None:
    assert wrong() == {}
    assert verdicts()["layout_can_be_applied"]["observed"] == "it fits; 1 steps to it"


@pytest.mark.parametrize(
    ("changed", "due"),
    [
        ({}, True),
        ({"__gpu_mig_found": REACHED}, False),
        ({"__gpu_mig_found": REACHED, "__gpu_mig_drain": {**DRAIN, "interrupted": True}}, True),
        ({"__gpu_mig_found": REACHED, "__gpu_mig_cdi": {"stdout": "nvidia.com/gpu=MIG-z\n"}}, True),
        ({"__gpu_mig_found": REACHED, "__gpu_mig_boot": {"actions": ["write the unit"]}}, True),
        ({"__gpu_mig_found": REACHED, "__gpu_mig_boot": {"msg": "its last start failed"}}, True),
    ],
)
def test_a_node_is_changed_where_something_is_left_to_do(changed: dict[str, Any], due: bool) -> None:
    assert role(**changed).value("__gpu_mig_must_change") is due


REFUSED = {
    "msg": "There is no MIG layout small. Choose one of: all-disabled.",
    "remedy": "Choose one of: all-disabled.",
}
SILENT = {"nvml": {"available": False, "reason": "Driver Not Loaded", "remedy": "Load the kernel module."}}


@pytest.mark.parametrize(
    ("found", "observed", "remedy"),
    [
        (REFUSED, "There is no MIG layout small.", REFUSED["remedy"]),
        (SILENT, "Driver Not Loaded", "Load the kernel module."),
    ],
)
def test_a_layout_that_cannot_be_is_refused(found: dict[str, Any], observed: str, remedy: str) -> None:
    verdict = verdicts(__gpu_mig_found=found)["layout_can_be_applied"]
    assert (verdict["status"], verdict["observed"].strip(), verdict["remedy"].strip()) == ("failed", observed, remedy)


@pytest.mark.parametrize(
    ("changed", "observed"),
    [
        ({"site_admin_host": "", "__gpu_mig_cluster": {"skipped": True}}, "no control-plane host is a ready member"),
        ({"__gpu_mig_cluster": {"nodes": [NODES[0], {"name": "n2", "ready": False}]}}, "not Ready: n2"),
        ({"__gpu_mig_cluster": {"nodes": NODES[:1]}}, "n2 is no node of the cluster"),
    ],
)
def test_an_unhealthy_cluster_is_left_alone(changed: dict[str, Any], observed: str) -> None:
    assert wrong(**changed) == {"cluster_is_healthy": observed}


@pytest.mark.parametrize("there", [[], ["monitoring/gpu-exporter", f"{PLUGIN}-gpu-feature-discovery"]])
def test_a_plugin_of_before_is_to_be_installed_anew(there: list[str]) -> None:
    found = wrong(__gpu_mig_drain={**DRAIN, "daemonsets": there})
    assert found == {"device_plugin_makes_room": "no device plugin that leaves a node whose GPUs change"}


def disturbed(pod: str | None) -> dict[str, Any]:
    user = {"gpu": "GPU-a", "step": "destroy 1g.10gb at 0:1", "pid": 4711, "name": "python3", "pod": pod}
    return {**PLANNED, "disturbed": [user, {**user, "step": "disable MIG mode"}]}


@pytest.mark.parametrize(
    ("changed", "observed"),
    [
        ({"__gpu_mig_drain": {**DRAIN, "holders": [TRAIN]}}, TRAIN),
        ({"__gpu_mig_found": disturbed(None)}, "pid 4711"),
        ({"__gpu_mig_found": disturbed("kube-system/spy")}, "pid 4711"),
        ({"__gpu_mig_found": disturbed("team-a/train-0"), "__gpu_mig_drain": {**DRAIN, "holders": [TRAIN]}}, TRAIN),
        ({"__gpu_mig_drain": {"msg": "n2: pods of DaemonSets hold GPUs"}}, "n2: pods of DaemonSets hold GPUs"),
    ],
)
def test_who_is_in_the_way_is_listed_unless_that_is_allowed(changed: dict[str, Any], observed: str) -> None:
    assert wrong(**changed) == {"nobody_is_in_the_way": observed}
    allowed = wrong(**changed, gpu_mig_allow_disruption=True)
    assert allowed == ({"nobody_is_in_the_way": observed} if "msg" in changed.get("__gpu_mig_drain", {}) else {})


def test_pods_are_in_nobodys_way_where_nothing_is_to_be_changed() -> None:
    held = {**DRAIN, "holders": [TRAIN]}
    assert wrong(__gpu_mig_found=REACHED, __gpu_mig_drain=held) == {}
    found = verdicts(__gpu_mig_found=REACHED, __gpu_mig_drain=held)
    assert found["nobody_is_in_the_way"]["observed"].strip() == "nothing is to be changed"


@pytest.mark.parametrize(
    ("inventory", "observed", "remedy"),
    [
        ({"gpu_mig_layout": "all-disabled"}, "the inventory says all-disabled", "comes back after a boot"),
        ({}, "the inventory says nothing", "nothing comes back after a boot"),
    ],
)
def test_a_layout_that_is_not_the_inventorys_is_warned_of(inventory: Any, observed: str, remedy: str) -> None:
    verdict = verdicts(inventory=inventory)["layout_is_the_inventorys"]
    assert (verdict["status"], verdict["observed"]) == ("warning", observed)
    assert "Put gpu_mig_layout: all-1g.10gb into the inventory for n2" in verdict["remedy"]
    assert remedy in " ".join(verdict["remedy"].split())


def test_an_inventory_that_cannot_be_asked_is_no_fault() -> None:
    assert wrong(__gpu_mig_inventory={"rc": 4, "stdout": ""}) == {}


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ([], []),
        ([{"item": "n1", "msg": "unreachable"}, {"item": "n2", "node": None, "nodes": []}], []),
        ([{"item": "n1", "node": {"ready": False}, "nodes": NODES}], []),
        ([{"item": "n1", "node": {"ready": True}, "nodes": NODES}], ["n1"]),
        (
            [
                {"item": "n4", "node": {"ready": True}, "nodes": NODES[:1]},
                {"item": "n1", "node": {"ready": True}, "nodes": NODES},
            ],
            ["n1"],
        ),
    ],
)
def test_a_limited_run_finds_the_ready_member_of_the_largest_cluster(asked: list[Any], first: list[str]) -> None:
    found = Role("site", __site_asked={"results": asked}).value("__site_ready_outside")
    assert found[:1] == first
    assert Role("site", __site_asked={"skipped": True}).value("__site_ready_outside") == []
