"""The double of the kernel module: what loading it writes."""

from __future__ import annotations

import configparser
import errno
from pathlib import Path

import pytest

from lab.doubles.nvidia import hardware
from lab.doubles.nvidia.module import nvidia


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host of two GPUs whose files are below tmp_path; what needs root is left out."""
    hardware.create(tmp_path, "n2", "A100-80GB", 2)
    monkeypatch.setattr(nvidia, "VERSION", "580.126.09")
    monkeypatch.setattr(nvidia, "STATE", tmp_path / hardware.STATE)
    monkeypatch.setattr(nvidia, "TREE", tmp_path / "nvidia/proc/driver")
    monkeypatch.setattr(nvidia, "PERSISTENCED", tmp_path / "persistenced.pid")
    return tmp_path


def state(host: Path) -> configparser.ConfigParser:
    with hardware.change(host, write=False) as ini:
        return ini


def test_loading_makes_the_files_that_nvidias_programs_read(host: Path) -> None:
    nvidia.write_files(nvidia.initialise())
    tree = host / "nvidia/proc/driver"
    assert "580.126.09" in (tree / "nvidia/version").read_text().split()
    information = (tree / "nvidia/gpus/0000:43:00.0/information").read_text()
    assert "NVIDIA A100-SXM4-80GB" in information
    assert hardware.uuids(host)[1] in information
    minors = dict(line.split() for line in (tree / "nvidia-caps/mig-minors").read_text().splitlines())
    assert minors["gpu0/gi0/access"] == "3"
    assert minors["gpu1/gi2/ci3/access"] == str(3 + 135 + 18 + 1 + 3)
    assert len(set(minors.values())) == len(minors)


def test_loading_forgets_instances_but_keeps_the_mode_of_ampere(host: Path) -> None:
    with hardware.change(host) as ini:
        ini["gpu.0"].update(mig="1", mig_pending="1")
        ini["gpu.1"].update(mig="1", mig_pending="1", model="H100-80GB")
        ini["gpu.0.gi.7"] = {"profile": "19", "start": "0"}
        ini["gpu.0.gi.7.ci.0"] = {"profile": "0", "start": "0", "uuid": "MIG-x"}
    nvidia.initialise()
    found = state(host)
    assert [name for name in found.sections() if ".gi." in name] == []
    assert (found["gpu.0"]["mig"], found["gpu.1"]["mig"]) == ("1", "0")
    assert found["host"]["driver"] == "580.126.09"


def test_a_busy_driver_does_not_go(host: Path) -> None:
    nvidia.initialise()
    hardware.occupy(host, 0, 1, "init", 10)
    with pytest.raises(OSError, match="in use") as raised:
        nvidia.release()
    assert raised.value.errno == errno.EBUSY
    assert state(host)["host"]["driver"] == "580.126.09"
    hardware.vacate(host, 0)
    nvidia.release()
    assert state(host)["host"]["driver"] == ""


def test_the_persistence_daemon_keeps_the_driver(host: Path) -> None:
    (host / "persistenced.pid").write_text("1\n")
    with pytest.raises(OSError, match="in use"):
        nvidia.release()


def test_without_a_gpu_there_is_no_such_device(host: Path) -> None:
    (host / hardware.STATE).unlink()
    with pytest.raises(OSError, match="No such device") as raised:
        nvidia.load()
    assert raised.value.errno == errno.ENODEV
