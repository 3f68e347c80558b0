"""What a machine must have before a lab is raised on it."""

from __future__ import annotations

import os
import shutil

import pytest

from lab import machine
from lab.errors import LabError

GIB = 1 << 30


@pytest.mark.parametrize(
    ("disk", "memory", "hosts", "is_built", "said"),
    [
        (30 * GIB, 8 * GIB, 3, False, []),
        (10 * GIB, 8 * GIB, 3, True, []),
        (10 * GIB, 8 * GIB, 3, False, ["10.0 GiB free"]),
        (30 * GIB, 1 * GIB, 3, True, ["1024 MiB of memory"]),
        (1 * GIB, 1 * GIB, 3, True, ["1.0 GiB free", "1024 MiB of memory"]),
        (1 * GIB, 1 * GIB, 0, True, []),  # nothing new is to be started
    ],
)
def test_what_is_too_little_is_said(disk: int, memory: int, hosts: int, is_built: bool, said: list[str]) -> None:
    found = list(machine.shortages(disk, memory, hosts, is_built=is_built))
    assert len(found) == len(said)
    assert all(part in text for part, text in zip(said, found, strict=True))


def test_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="only root may do"):
        machine.check(1)


def test_missing_programs_are_named_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(
        shutil, "which", lambda program: None if program in {"podman", "crun"} else f"/usr/bin/{program}"
    )
    with pytest.raises(LabError, match="podman, crun") as error:
        machine.check(1)
    assert "script/setup --lab" in error.value.remedy
