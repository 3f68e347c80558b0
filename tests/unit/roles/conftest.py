"""What roles compute in their vars and templates, asked of Ansible itself, without a host."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

ROLES = Path(__file__).resolve().parents[3] / "roles"


@functools.cache
def _find_plugins() -> None:
    """Let lookups be found by their full names, as in a playbook."""
    init_plugin_loader()


class Role:
    """A role's variables and those of roles that it depends on, and over them what a site or a task has set."""

    def __init__(self, name: str, **given: object) -> None:
        self.folder = ROLES / name
        self.variables: dict[str, Any] = {"inventory_hostname": "n1", "groups": {}, "hostvars": {}}
        self.variables |= {"ansible_search_path": [str(self.folder)], "role_path": str(self.folder)}
        for each in [depends["role"] for depends in self.load("meta")["dependencies"]] + [name]:
            for part in ("defaults", "vars"):
                self.variables |= self.load(part, ROLES / each)
        self.variables |= given

    def load(self, part: str, folder: Path | None = None, file: str = "main") -> Any:
        """A file of a role, as Ansible reads it; nothing where there is none."""
        path = (folder or self.folder) / part / f"{file}.yml"
        return (DataLoader().load_from_file(str(path), trusted_as_template=True) or {}) if path.exists() else {}

    def value(self, name: str) -> Any:
        """What a variable is."""
        return self._say(f"{{{{ {name} }}}}")

    def text(self, template: str) -> str:
        """What a template gives."""
        return str(self._say(f"{{{{ lookup('template', '{self.folder}/templates/{template}') }}}}"))

    def objects(self, template: str) -> list[dict[str, Any]]:
        """The objects that a template gives."""
        return [found for found in yaml.safe_load_all(self.text(template)) if found]

    def _say(self, text: str) -> Any:
        _find_plugins()
        return Templar(DataLoader(), variables=self.variables).template(trust_as_template(text))


@pytest.fixture
def role() -> Callable[..., Role]:
    """A role by its name, and what is set of its variables."""
    return Role
