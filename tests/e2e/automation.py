"""A site as scripts have it: by the script of docs/automation.md and the command, from another directory, as JSON."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from site_under_test import ROOT, Site

COMMAND = str(ROOT / ".venv/bin/groundwork")


def said(directory: Path, *command: str) -> tuple[int, Any, str]:
    """Run a command elsewhere: its exit status, its standard output as JSON, and its standard error."""
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=1500)
    assert done.stdout, done.stderr[-2000:]
    return done.returncode, json.loads(done.stdout), done.stderr


def play(site: Site, playbook: str, directory: Path, inventory: Path | None = None) -> tuple[int, Any, str]:
    """What the script of the page says of a playbook: its exit status, what it found, and its progress."""
    script = [str(ROOT / ".venv/bin/python"), str(ROOT / "examples/automation/run_site.py")]
    return said(directory, *script, str(inventory or site.lab.inventory), playbook)
