"""Playbooks that run on this machine, by the real ansible-runner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[[str, str], Path]

LOCAL = """\
all:
  vars: {ansible_connection: local}
  hosts: {a: , b: }
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file with this name and text, and say where."""

    def _write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return _write


@pytest.fixture
def local(write: Write) -> Path:
    """An inventory of two hosts, both this machine."""
    return write("inventory.yml", LOCAL)


@pytest.fixture
def sleep(write: Write) -> Path:
    """A playbook that would take an hour."""
    return write(
        "sleep.yml",
        """\
- name: Wait
  hosts: all
  gather_facts: false
  tasks:
    - name: Sleep
      ansible.builtin.command: sleep 3611
""",
    )
