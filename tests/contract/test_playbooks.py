"""Playbooks say who does what and in which order, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = sorted((ROOT / "playbooks").rglob("*.yml"))
GROUPS = {"all", "control_plane", "workers", "gpu_nodes", "nfs_server", "admin_host"}


def plays(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(path.read_text())
    return found


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_tasks_import_roles_and_nothing_else(playbook: Path) -> None:
    for task in (task for play in plays(playbook) for task in play.get("tasks", [])):
        assert set(task) - {"name", "when", "vars"} == {"ansible.builtin.import_role"}, task
        assert set(task["ansible.builtin.import_role"]) == {"name", "tasks_from"}, task


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_every_verb_is_there(playbook: Path) -> None:
    for task in (task for play in plays(playbook) for task in play.get("tasks", [])):
        role = task["ansible.builtin.import_role"]
        assert (ROOT / f"roles/{role['name']}/tasks/{role['tasks_from']}.yml").exists(), role


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_plays_name_the_groups_of_the_design(playbook: Path) -> None:
    for play in (play for play in plays(playbook) if "ansible.builtin.import_playbook" not in play):
        assert set(play["hosts"].split(":")) <= GROUPS, play["hosts"]


def test_site_imports_every_phase_once() -> None:
    imported = [play["ansible.builtin.import_playbook"] for play in plays(ROOT / "site.yml")]
    assert sorted(imported) == sorted(f"playbooks/{path.name}" for path in (ROOT / "playbooks").glob("*.yml"))
