"""The double of the fabric manager."""

from __future__ import annotations

import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

from lab.doubles.nvidia import hardware

PROGRAM = Path(hardware.__file__).parent / "packages/nv-fabricmanager"
HERE = "580.126.09"


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program on a host whose files are below tmp_path, ended as soon as it runs."""
    specification = importlib.util.spec_from_loader("manager", SourceFileLoader("manager", str(PROGRAM)))
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.setattr(module, "STATE", tmp_path / hardware.STATE)
    monkeypatch.setattr(module, "VERSION", tmp_path / "VERSION")
    monkeypatch.setattr(module, "PID", tmp_path / "run/manager.pid")
    (tmp_path / "VERSION").write_text(f"{HERE}\n")
    return module


def running(etc: Path) -> str:
    with hardware.change(etc, write=False) as ini:
        return ini["host"].get("fabric_manager", "")


def test_gpus_know_it_while_it_runs(manager: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hardware.create(tmp_path, "n2", "H100-80GB", 8, 4)
    hardware.put_host(tmp_path, driver=HERE)
    seen = []
    monkeypatch.setattr(manager.signal, "sigwait", lambda _: seen.append((running(tmp_path), manager.PID.exists())))
    manager.main()
    assert seen == [(HERE, True)]
    assert (running(tmp_path), manager.PID.exists()) == ("", False)


@pytest.mark.parametrize(
    ("switches", "driver", "said"),
    [
        (4, "580.95.05", "don't match with driver version 580.95.05"),
        (4, "", "is not loaded"),
        (0, HERE, "NOTHING_TO_DO"),
    ],
)
def test_it_refuses_where_the_real_one_does(
    manager: ModuleType, tmp_path: Path, switches: int, driver: str, said: str
) -> None:
    hardware.create(tmp_path, "n2", "H100-80GB", 8, switches)
    hardware.put_host(tmp_path, driver=driver)
    with pytest.raises(SystemExit, match=said):
        manager.main()
    assert running(tmp_path) == ""


def test_it_has_nothing_to_do_without_gpus(manager: ModuleType) -> None:
    with pytest.raises(SystemExit, match="NOTHING_TO_DO"):
        manager.main()
