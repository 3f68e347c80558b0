"""docs/automation.md shows what is there: the example as it is, all fields, verbs and exit statuses."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import get_args

import pytest

import groundwork
from groundwork import cli, result

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/automation.md").read_text()
EXAMPLE = ROOT / "examples/automation/run_site.py"


def test_the_page_shows_the_example_as_it_is() -> None:
    assert re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) == [EXAMPLE.read_text()]
    assert len(EXAMPLE.read_text().splitlines()) <= 20


@pytest.mark.parametrize("shown", [groundwork.Event, groundwork.Failure, groundwork.Result, groundwork.Counts])
def test_the_page_names_every_field(shown: type) -> None:
    names = {field.name for field in dataclasses.fields(shown)} - {"playbook", "wanted"}
    assert {name for name in names if f"`{name}`" not in PAGE} == set()


def test_the_page_names_every_kind() -> None:
    kinds = {*get_args(result.EventKind), *get_args(result.FailureKind), *get_args(result.Status)}
    assert {kind for kind in kinds if f"`{kind}`" not in PAGE} == set()


def test_the_page_names_every_verb_and_exit_status() -> None:
    assert {verb for verb in cli.VERBS if f"| `groundwork {verb}" not in PAGE} == set()
    statuses = {0, cli.FAILED, cli.WRONG_USAGE, cli.INTERRUPTED}
    assert statuses == {int(status) for status in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
