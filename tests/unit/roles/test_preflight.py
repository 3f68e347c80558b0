"""Which checks a preflight judges: operations/adopt.yml has two in one run."""

from __future__ import annotations

from typing import Any

from tests.unit.roles.conftest import Role

INVENTORY = {"name": "site.variables_are_known", "status": "ok"}
EARLIER = {"name": "gpu_operator.none_is_left", "status": "failed"}


def judged(file: str) -> list[str]:
    """The names of the checks that are judged by a verb file of the role."""
    known: dict[str, Any] = {"__site_preflight_checks": [INVENTORY], "__gpu_operator_preflight_checks": [EARLIER]}
    role = Role("preflight", **known)
    (gather,) = [task for task in role.load("tasks", file="run") if "ansible.builtin.set_fact" in task]
    role.variables |= {**gather["vars"], **role.load("tasks", file=file)[0].get("vars", {})}
    role.variables["gathered"] = gather["ansible.builtin.set_fact"]
    return sorted(check["name"] for check in role.value("gathered.__preflight_checks"))


def test_at_the_end_every_roles_checks_are_judged() -> None:
    assert judged("main") == [EARLIER["name"], INVENTORY["name"]]


def test_of_the_inventory_nothing_is_judged_that_a_preflight_before_found_of_hosts() -> None:
    assert judged("inventory") == [INVENTORY["name"]]
