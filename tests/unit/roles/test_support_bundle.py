"""What the role has collected: items that the module takes, each in a file of its own, and no Secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ansible.module_utils.groundwork.support.collect import NEVER, items

ROLE = Path(__file__).parents[3] / "roles/support_bundle"
VARIABLES = {
    **yaml.safe_load((ROLE / "defaults/main.yml").read_text()),
    **yaml.safe_load((ROLE / "vars/main.yml").read_text()),
    "site_venv": "/opt/groundwork/venv",
    "__support_bundle_kubectl": ["kubectl"],
}


def declared(name: str) -> list[dict[str, Any]]:
    templates = jinja2.Environment(loader=jinja2.FileSystemLoader(ROLE / "templates"), autoescape=False)
    templates.filters["to_json"] = json.dumps
    found: list[dict[str, Any]] = yaml.safe_load(templates.get_template(f"{name}.yml.j2").render(VARIABLES))
    return found


@pytest.mark.parametrize("name", ["host", "cluster"])
def test_the_module_takes_them_and_each_command_has_a_file_of_its_own(name: str) -> None:
    found = declared(name)
    assert items(found, 1000)
    names = [each["name"] for each in found if "argv" in each]
    assert len(names) == len(set(names)) > 20


def test_no_file_that_is_a_secret_is_asked_for() -> None:
    files = [path for each in declared("host") for path in each.get("files", ())]
    assert len(files) > 30
    assert [path for path in files if NEVER.search(path)] == []


def test_no_secret_is_asked_of_the_cluster() -> None:
    """Helm's list tells names and versions alone."""
    questions = [each["argv"] for each in declared("cluster")]
    kinds = {kind for words in questions if "get" in words for kind in words[words.index("get") + 1].split(",")}
    assert len(kinds) > 20
    assert not {kind for kind in kinds if "secret" in kind or kind == "all"}
    [helm] = [words for words in questions if words[0].endswith("helm")]
    assert helm[2:3] == ["list"]


def test_every_unit_has_its_journal_bounded() -> None:
    journals = [each for each in declared("host") if each["name"].startswith("journals/")]
    assert {f"journals/{unit}.log" for unit in VARIABLES["__support_bundle_units"]} <= {
        each["name"] for each in journals
    }
    assert all(f"--lines={VARIABLES['support_bundle_log_lines']}" in each["argv"] for each in journals)
