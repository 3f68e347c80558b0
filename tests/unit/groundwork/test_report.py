from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.groundwork import check
from ansible.module_utils.groundwork.report import model

import groundwork
from groundwork import text

CHECKS = [check.ok("a.is_fine", "fine"), check.failed("a.is_whole", "broken", "whole", "Mend it.")]


def written(path: Path, **changes: Any) -> Path:
    """A report as the module site_report writes it."""
    hosts: dict[str, dict[str, Any]] = {
        name: {"groups": ["workers"], "system": "Debian 12", "checks": [c.to_dict() for c in CHECKS]}
        for name in ("n1", "n2")
    }
    hosts["n1"] |= {"versions": {"microk8s": "v1.36.1"}, "endpoints": {"api": "https://n1:16443"}}
    made = model.make("mine", hosts, "2026-11-21T12:00:00+00:00", 12.5).to_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made | changes))
    return path


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    report = groundwork.read(written(tmp_path / "report.json", later="a key of a later version"))
    assert (report.ok, report.status, report.cluster, report.elapsed_seconds) == (False, "failed", "mine", 12.5)
    assert report.hosts["n1"].groups == ("workers",)
    assert [(host, found.name) for host, found in report.failed()] == [("n1", "a.is_whole"), ("n2", "a.is_whole")]
    assert len(report.checks()) == 4
    assert report.versions == {"microk8s": "v1.36.1"}
    assert report.to_dict()["later"]


def test_a_check_has_the_fields_of_all_verdicts() -> None:
    ours, theirs = ([field.name for field in dataclasses.fields(each)] for each in (groundwork.Check, check.Check))
    assert ours == theirs
    assert groundwork.report.SCHEMA == model.SCHEMA


def test_the_last_report_is_found(tmp_path: Path) -> None:
    written(tmp_path / "one/report.json")
    newest = written(tmp_path / "two/report.json")
    assert groundwork.newest(tmp_path).path == newest
    assert groundwork.newest(tmp_path, "one").path == tmp_path / "one/report.json"


@pytest.mark.parametrize(
    ("content", "word"),
    [(None, "no report"), ("{", "cannot be read"), ('{"schema": 2}', "schema 2"), ('{"schema": 1}', "not whole")],
)
def test_a_report_that_cannot_be_used_says_why(tmp_path: Path, content: str | None, word: str) -> None:
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(groundwork.UsageError, match=word) as error:
        groundwork.read(path)
    assert error.value.remedy


def test_as_text_each_fault_stands_once_with_its_hosts_and_remedy(tmp_path: Path) -> None:
    words = text.report(groundwork.read(written(tmp_path / "report.json")))
    assert "FAILED: cluster mine" in words
    assert "FAILED a.is_whole  [n1, n2]\n  found:  broken\n  wanted: whole\n  remedy: Mend it." in words
    assert "https://n1:16443" in words
