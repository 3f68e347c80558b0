"""How Ansible fills in templates."""

from collections.abc import Mapping
from typing import Any

from ansible.parsing.dataloader import DataLoader

class Templar:
    def __init__(self, loader: DataLoader, variables: Mapping[str, Any]) -> None: ...
    def template(self, variable: str) -> Any: ...

def trust_as_template(value: str) -> str: ...
