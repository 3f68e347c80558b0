"""The machine's kernel settings are as before when the last lab is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import settings


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kernel with two of the settings."""
    monkeypatch.setattr(settings, "KERNEL", tmp_path / "sys")
    for name, value in (("kernel/panic", "0"), ("vm/overcommit_memory", "0")):
        (tmp_path / "sys" / name).parent.mkdir(parents=True)
        (tmp_path / "sys" / name).write_text(f"{value}\n")
    return tmp_path / "sys"


def test_what_changed_is_put_back_and_nothing_else_is_written(kernel: Path, tmp_path: Path) -> None:
    settings.save(tmp_path / "settings.json")
    (kernel / "kernel/panic").write_text("10\n")
    (kernel / "vm/overcommit_memory").chmod(0o444)
    settings.put_back(tmp_path / "settings.json")
    assert (kernel / "kernel/panic").read_text() == "0"
    assert (kernel / "vm/overcommit_memory").read_text() == "0\n"
