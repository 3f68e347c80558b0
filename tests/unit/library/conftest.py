"""Modules as Ansible runs them: arguments in, one JSON object out."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

LIBRARY = Path(__file__).parents[3] / "library"
Result = dict[str, Any]


class Module:
    """One module of the library."""

    def __init__(self, name: str, capture: pytest.CaptureFixture[str]) -> None:
        specification = importlib.util.spec_from_file_location(name, LIBRARY / f"{name}.py")
        assert specification is not None
        assert specification.loader is not None
        self.code: ModuleType = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(self.code)
        self._capture = capture

    def run(self, check: bool = False, **arguments: object) -> Result:
        """Its result, of success or failure."""
        self._capture.readouterr()
        with patch_module_args({**arguments, "_ansible_check_mode": check}), pytest.raises(SystemExit):
            self.code.main()
        found: Result = json.loads(self._capture.readouterr().out)
        return found


@pytest.fixture
def load(capsys: pytest.CaptureFixture[str]) -> Callable[[str], Module]:
    return lambda name: Module(name, capsys)
