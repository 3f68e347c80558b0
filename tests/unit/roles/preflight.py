"""What a role's preflight states, asked of Ansible without a host."""

from __future__ import annotations

from typing import Any

from tests.unit.roles.conftest import Role

NODES = {"groups": {"control_plane": ["n1"], "workers": ["n2"]}}


def found(name: str, **values: Any) -> list[dict[str, str]]:
    """The checks that a role's preflight states, its tasks but for set_fact left out."""
    for task in states(Role(name).load("tasks", file="preflight")):
        given = {**task.get("vars", {}), **NODES, **values, "stated": task["ansible.builtin.set_fact"]}
        role = Role(name, **given)
        if role.value(task.get("when", "true")):
            checks: list[dict[str, str]] = role.value(f"stated.__{name}_preflight_checks")
            return checks
    return []


def states(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tasks that state checks, those of a block under its condition."""
    flat = [{**inner, "when": task["when"]} for task in tasks for inner in task.get("block", ())]
    return [task for task in [*tasks, *flat] if "ansible.builtin.set_fact" in task]
