"""What holds for every role, so that who knows one knows them all (docs/adding-a-role.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import generate

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.parent for path in ROOT.glob("roles/*/tasks"))
PARTS = {"main"}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def imported(tasks: Path) -> list[str]:
    """The files that a tasks file imports, without their suffix."""
    return [task["ansible.builtin.import_tasks"].removesuffix(".yml") for task in read(tasks)]


@pytest.fixture(params=ROLES, ids=lambda role: role.name)
def role(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_specs_have_one_entry(role: Path) -> None:
    """validate_argument_spec in preflight knows `main` alone."""
    assert list(read(role / "meta/argument_specs.yml")["argument_specs"]) == ["main"]


def test_defaults_are_what_the_spec_says(role: Path) -> None:
    options = read(role / "meta/argument_specs.yml")["argument_specs"]["main"].get("options") or {}
    path = role / "defaults/main.yml"
    defaults = (read(path) if path.exists() else None) or {}
    assert defaults == {name: option["default"] for name, option in options.items() if not option.get("required")}


def test_variables_have_the_prefix_of_their_role(role: Path) -> None:
    path = role / "vars/main.yml"
    names = [*read(role / "meta/argument_specs.yml")["argument_specs"]["main"].get("options", {})]
    assert [name for name in names if not name.startswith(f"{role.name}_")] == []
    internal = (read(path) if path.exists() else None) or {}
    assert [name for name in internal if not name.startswith(f"__{role.name}_")] == []


def test_a_part_that_is_switched_off_does_nothing(role: Path) -> None:
    """Its own verbs ask, so that a playbook need not; what is switched off can still be removed."""
    defaults = role / "defaults/main.yml"
    switch = f"{role.name}_enabled"
    if switch not in ((read(defaults) if defaults.exists() else None) or {}):
        return
    internal = read(role / "vars/main.yml")
    verbs = [
        path
        for verb in ("preflight", "install", "configure", "run", "verify")
        if (path := role / f"tasks/{verb}.yml").exists()
    ]
    unasked = [
        f"{path.name}: {task['name']}"
        for path in verbs
        for task in read(path)
        if not asks(str(task.get("when")), switch, internal)
    ]
    assert not unasked


def asks(condition: str, switch: str, internal: dict[str, Any]) -> bool:
    """Whether a condition depends on that variable, by itself or by variables of the role."""
    named = [str(value) for name, value in internal.items() if name in condition]
    return switch in condition or any(asks(value, switch, internal) for value in named)


def test_main_lists_the_verbs_in_order(role: Path) -> None:
    verbs = imported(role / "tasks/main.yml")
    known = [verb for verb in generate.VERBS if verb in verbs]
    assert verbs == known, "main.yml imports verbs alone, in the order of a run"
    missing = {verb for verb in generate.VERBS if (role / f"tasks/{verb}.yml").exists()} - set(verbs)
    assert missing <= {"remove", "upgrade", "backup", "restore"}, f"not in main.yml: {missing}"


def test_depends_on_site_for_its_variables(role: Path) -> None:
    """And on others whose variables it reads: that they run is for playbooks to say."""
    depends = read(role / "meta/main.yml").get("dependencies")
    assert [each["role"] for each in depends][:1] == ([] if role.name == "site" else ["site"])
    assert all(each["tags"] == ["never"] for each in depends)


def test_readme_is_current(role: Path) -> None:
    assert (role / "README.md").read_text() == generate.readme(role), "run script/generate"


def test_has_a_scenario(role: Path) -> None:
    scenario = ROOT / "molecule" / role.name
    assert {path.name for path in scenario.glob("*.yml")} >= {"molecule.yml", "converge.yml", "verify.yml"}


def test_is_told_of_in_a_playbook(role: Path) -> None:
    playbooks = "\n".join(path.read_text() for path in (ROOT / "playbooks").rglob("*.yml"))
    assert f"name: {role.name}\n" in playbooks


def test_renamed_variables_have_names_that_exist() -> None:
    renamed = read(ROOT / "roles/site/vars/main.yml")["__site_renamed"]
    known = {name for role in ROLES for name in options(role)}
    assert set(renamed.values()) <= known
    assert not set(renamed) & known


def options(role: Path) -> dict[str, Any]:
    """The public variables of a role."""
    found: dict[str, Any] = read(role / "meta/argument_specs.yml")["argument_specs"]["main"].get("options") or {}
    return found
