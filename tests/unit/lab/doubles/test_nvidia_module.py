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
    monkeypatch.setattr(nvidia, "LOADED", tmp_path / hardware.LOADED)
    monkeypatch.setattr(nvidia, "FUNCTIONS", tmp_path / hardware.FUNCTIONS)
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


def test_loading_forgets_settings_and_makes_eccs_pending_mode_current(host: Path) -> None:
    settings = {"persistence": 1, "power_limit_mw": 300000, "compute_mode": 3, "lock_gpu_min": 300, "lock_gpu_max": 900}
    hardware.put(host, 0, **settings, ecc=1, ecc_pending=0, ecc_uncorrected=2, ecc_uncorrected_total=5, remap_pending=1)
    hardware.put_host(host, fabric_manager="580.126.09")
    nvidia.initialise()
    found = state(host)["gpu.0"]
    assert set(found) & {*settings, "ecc_pending", "ecc_uncorrected", "remap_pending"} == set()
    assert (found["ecc"], found["ecc_uncorrected_total"]) == ("0", "5")
    assert state(host)["host"]["fabric_manager"] == ""


def test_an_unplugged_gpu_is_not_found(host: Path) -> None:
    hardware.unplug(host, 0)
    assert [gpu["minor"] for gpu in nvidia.initialise()] == ["1"]


@pytest.mark.parametrize(
    ("model", "is_open", "drives"),
    [("T4", True, True), ("T4", False, True), ("B200", True, True), ("B200", False, False), ("H100-80GB", False, True)],
)
def test_modules_drive_the_gpus_of_their_flavour(
    host: Path, monkeypatch: pytest.MonkeyPatch, model: str, is_open: bool, drives: bool
) -> None:
    monkeypatch.setattr(nvidia, "OPEN", is_open)
    hardware.replace(host, 0, model)
    assert nvidia.can_drive(nvidia.listed()[0]) == drives


def test_a_pascal_gpu_needs_the_proprietary_modules(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (host / hardware.FUNCTIONS / "0000:1b:00.0/device").write_text("0x15f8\n")  # Tesla P100
    assert not nvidia.can_drive(nvidia.listed()[0])
    monkeypatch.setattr(nvidia, "OPEN", False)
    assert nvidia.can_drive(nvidia.listed()[0])


@pytest.mark.parametrize(("is_open", "word"), [(True, " Open "), (False, "UNIX x86_64 ")])
def test_a_module_says_its_flavour(host: Path, monkeypatch: pytest.MonkeyPatch, is_open: bool, word: str) -> None:
    monkeypatch.setattr(nvidia, "OPEN", is_open)
    nvidia.write_files(nvidia.initialise())
    assert word in (host / "nvidia/proc/driver/nvidia/version").read_text()


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
