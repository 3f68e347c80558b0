"""What roles compute in their vars and templates, asked of Ansible itself, without a host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLES = Path(__file__).resolve().parents[3] / "roles"


class Role:
    """A role's variables: its defaults and site's, its own vars, and over them what a site or a task has set."""

    def __init__(self, name: str, **given: object) -> None:
        self.folder = ROLES / name
        self.variables: dict[str, Any] = {"inventory_hostname": "n1", "groups": {}, "hostvars": {}}
        for file in (ROLES / "site/defaults", ROLES / "site/vars", self.folder / "defaults", self.folder / "vars"):
            loaded = DataLoader().load_from_file(str(file / "main.yml"), trusted_as_template=True)
            self.variables |= loaded or {}
        self.variables |= given

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
        return Templar(DataLoader(), variables=self.variables).template(trust_as_template(text))


@pytest.fixture
def role() -> Callable[..., Role]:
    """A role by its name, and what is set of its variables."""
    return Role
