"""Which hosts can become nodes, in a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible.module_utils.groundwork.host.observe import Host
from ansible.module_utils.groundwork.host.preflight import Wanted, check

GOOD = Host(
    system="debian 12",
    architecture="x86_64",
    init="systemd",
    cgroup="cgroup2",
    name="n1",
    user_id=0,
    memory_mib=8000,
    disk_free_mib=50_000,
    default_route=True,
    time=1000.0,
    time_service="chrony",
    container=False,
    package_lists=True,
)
WANTED = Wanted(
    memory_mib=3500,
    disk_mib=20_480,
    disk="/var/snap",
    clock_seconds=60,
    time=1010.0,
    names={"n1": "n1", "n2": "n2"},
    installed=False,
)


def judged(host: Host, wanted: Wanted = WANTED) -> dict[str, str]:
    """The checks that are not ok, by their names without the role's."""
    return {
        found.name.removeprefix("host_base."): found.status for found in check(host, wanted) if found.status != "ok"
    }


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"user_id": 1000}, "user_is_root"),
        ({"system": "ubuntu 20.04"}, "system_is_supported"),
        ({"system": "rocky 9.4"}, "system_is_supported"),
        ({"architecture": "riscv64"}, "architecture_is_supported"),
        ({"init": "tini"}, "systemd_runs"),
        ({"cgroup": "tmpfs"}, "cgroup_is_v2"),
        ({"cgroup": ""}, "cgroup_is_v2"),
        ({"memory_mib": 2000}, "memory_is_enough"),
        ({"disk_free_mib": 10_000}, "disk_is_enough"),
        ({"default_route": False}, "default_route_exists"),
        ({"time": 900.0}, "clock_agrees"),
        ({"time": 1100.0}, "clock_agrees"),
        ({"name": "GPU_1"}, "name_is_valid"),
        ({"name": "n1.example.org"}, "name_is_valid"),
        ({"name": "-n1"}, "name_is_valid"),
        ({"name": "n" * 64}, "name_is_valid"),
    ],
)
def test_refuses(changes: dict[str, Any], fault: str) -> None:
    assert judged(replace(GOOD, **changes)) == {fault: "failed"}


@pytest.mark.parametrize("system", ["debian 13", "ubuntu 22.04", "ubuntu 24.04"])
def test_accepts(system: str) -> None:
    assert judged(replace(GOOD, system=system)) == {}


def test_two_hosts_with_one_name() -> None:
    twice = replace(WANTED, names={"n1": "n1", "n2": "n1"})
    assert judged(GOOD, twice) == {"name_is_unique": "failed"}
    assert "n1, n2" in next(found.observed for found in check(GOOD, twice) if found.name == "host_base.name_is_unique")


def test_a_node_that_works_may_have_filled_its_disk() -> None:
    assert judged(replace(GOOD, disk_free_mib=10_000), replace(WANTED, installed=True)) == {"disk_is_enough": "warning"}


@pytest.mark.parametrize(("installed", "found"), [(False, {"firewall_lets_nodes_through": "warning"}), (True, {})])
def test_a_firewall_is_told_of_before_there_is_a_node(installed: bool, found: dict[str, str]) -> None:
    assert judged(replace(GOOD, firewall="ufw"), replace(WANTED, installed=installed)) == found


def test_every_fault_says_what_to_do() -> None:
    worst = replace(
        GOOD,
        system="x 1",
        init="x",
        cgroup="",
        name="X",
        user_id=1,
        memory_mib=0,
        disk_free_mib=0,
        default_route=False,
        time=0.0,
        firewall="ufw",
    )
    assert all(found.remedy for found in check(worst, WANTED) if found.status != "ok")
