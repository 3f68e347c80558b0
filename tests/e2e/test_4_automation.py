"""Automation on a whole site: the documented script and the command, from another directory, with failures as data."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from site_under_test import ROOT, Lab, Site

PYTHON = str(ROOT / ".venv/bin/python")
EXAMPLE = str(ROOT / "examples/automation/run_site.py")


def said(directory: Path, *command: str) -> tuple[int, Any, str]:
    """Run a command elsewhere: its exit status, its standard output as JSON, and its standard error."""
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=1500)
    assert done.stdout, done.stderr[-2000:]
    return done.returncode, json.loads(done.stdout), done.stderr


def test_the_script_of_the_page_finds_nothing_wrong_with_a_finished_site(site: Site, tmp_path: Path) -> None:
    inventory = str(site.lab.inventory)
    status, found, progress = said(tmp_path, PYTHON, EXAMPLE, inventory, "playbooks/preflight.yml")
    assert (status, found) == (0, {"ok": True, "changed": 0, "faults": []}), progress
    assert "Check all hosts" in progress


def test_a_lost_gpu_comes_as_data_and_is_offered_again_once_it_is_back(site: Site, lab: Lab, tmp_path: Path) -> None:
    lab("fault", "gpu-lost", "n3", "0")
    try:
        inventory = str(site.lab.inventory)
        status, found, progress = said(tmp_path, PYTHON, EXAMPLE, inventory, "playbooks/verify.yml")
        assert (status, found["ok"]) == (1, False), progress
        told = {(fault["host"], fault["what"]) for fault in found["faults"]}
        assert "n3" in {host for host, _ in told}, found
        assert {(check["host"], check["name"]) for check in site.checks("failed")} <= told
        assert all(fault["remedy"] for fault in found["faults"] if "." in fault["what"]), found

        status, report, _ = said(tmp_path, str(ROOT / ".venv/bin/groundwork"), "report", lab.name, "--json")
        assert (status, report["ok"], report["cluster"]) == (1, False, lab.name)
    finally:
        lab("fault", "clear")
    healed = site.play(playbook="playbooks/kubernetes_gpu.yml")
    assert healed.status == 0, healed.tail
    assert site.kubectl("get", "node", "n3", "-o", r"jsonpath={.status.allocatable.nvidia\.com/gpu}") == "2"
