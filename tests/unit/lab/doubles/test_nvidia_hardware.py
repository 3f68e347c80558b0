"""The GPUs that are plugged into a lab host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.doubles.nvidia import hardware
from lab.errors import LabError


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """What is /etc/lab of a host with two GPUs."""
    hardware.create(tmp_path, "n2", "H100-80GB", 2)
    return tmp_path


def section(etc: Path, name: str) -> dict[str, str]:
    with hardware.change(etc, write=False) as ini:
        return dict(ini[name]) if ini.has_section(name) else {}


def test_gpus_of_all_hosts_differ(tmp_path: Path) -> None:
    found = []
    for host in ("n1", "n2", "n3"):
        hardware.create(tmp_path / host, host, "H100-80GB", 16)
        found += hardware.uuids(tmp_path / host)
    assert len(set(found)) == 48


def test_a_host_made_again_keeps_its_gpus_and_their_faults(etc: Path) -> None:
    before = hardware.uuids(etc)
    hardware.lose(etc, 1)
    hardware.create(etc, "n2", "A100-80GB", 1)
    assert hardware.uuids(etc) == before
    assert section(etc, "gpu.1")["fault"] == "lost"


def test_a_host_may_have_no_gpu(tmp_path: Path) -> None:
    hardware.create(tmp_path, "n1", "H100-80GB", 0)
    assert list(tmp_path.iterdir()) == []
    assert hardware.uuids(tmp_path) == []
    hardware.clear(tmp_path)  # clearing every fault of a lab concerns such hosts, too


@pytest.mark.parametrize(
    ("model", "count", "message"),
    [("H1000", 1, "no GPU model 'H1000'"), ("L40S", 17, "17 GPUs do not fit"), ("L40S", -1, "-1 GPUs do not fit")],
)
def test_impossible_hardware_is_refused(tmp_path: Path, model: str, count: int, message: str) -> None:
    with pytest.raises(LabError, match=message):
        hardware.create(tmp_path, "n1", model, count)
    assert list(tmp_path.iterdir()) == []


def test_pci_functions_read_like_sysfs(etc: Path) -> None:
    functions = sorted((etc / hardware.FUNCTIONS).iterdir())
    assert [path.name for path in functions] == ["0000:1b:00.0", "0000:43:00.0"]
    read = {name: (functions[0] / name).read_text() for name in ("vendor", "device", "class")}
    assert read == {"vendor": "0x10de\n", "device": "0x2330\n", "class": "0x030200\n"}
    assert (functions[0] / "config").read_bytes()[:4] == bytes.fromhex("de103023")
    assert not (functions[0] / "driver").exists()


def test_changes_stay_in_the_same_file(etc: Path) -> None:
    """Containers see a bind mount of the inode: a rename would leave them with the old state for ever."""
    before = (etc / hardware.STATE).stat().st_ino
    hardware.put(etc, 0, temperature=91)
    hardware.put(etc, 0, temperature=9)  # shorter than before
    assert (etc / hardware.STATE).stat().st_ino == before
    assert section(etc, "gpu.0")["temperature"] == "9"


def test_a_failing_change_changes_nothing(etc: Path) -> None:
    before = (etc / hardware.STATE).read_text()
    with pytest.raises(LabError, match="has no GPU 2"):
        hardware.put(etc, 2, temperature=91)
    with pytest.raises(LabError, match="has no GPU 7"):
        hardware.xid(etc, 7, 79)
    assert (etc / hardware.STATE).read_text() == before


def test_a_fault_on_a_host_without_gpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no GPU"):
        hardware.lose(tmp_path, 0)


def test_events_are_numbered_and_the_oldest_forgotten(etc: Path) -> None:
    for number in range(hardware.MAX_EVENTS + 3):
        hardware.xid(etc, 0, number)
    with hardware.change(etc, write=False) as ini:
        events = [name for name in ini.sections() if name.startswith("event.")]
    assert len(events) == hardware.MAX_EVENTS
    assert section(etc, "event.67") == {"gpu": "0", "type": "8", "data": "66"}


def test_clearing_leaves_what_a_gpu_is_and_how_it_was_set(etc: Path) -> None:
    before = section(etc, "gpu.0")
    hardware.put(etc, 0, mig=1, fault="hang", ecc_uncorrected=4)
    hardware.put_host(etc, cuda_fault=802)
    hardware.clear(etc)
    assert section(etc, "gpu.0") == {**before, "mig": "1"}
    assert section(etc, "host") == {}


def test_processes_come_and_go(etc: Path) -> None:
    hardware.occupy(etc, 1, 4242, "python3", 1000)
    hardware.occupy(etc, 1, 4243, "python3", 2000)
    assert section(etc, "gpu.1.proc.1")["pid"] == "4243"
    hardware.vacate(etc, 1)
    assert section(etc, "gpu.1.proc.0") == {}


def test_buses_are_distinct_and_fit_every_gpu() -> None:
    assert len(set(hardware.BUSES)) == hardware.MAX_GPUS


@pytest.mark.parametrize("name", hardware.MODELS)
def test_the_library_knows_every_model(name: str) -> None:
    models = (Path(hardware.__file__).parent / "library/models.c").read_text()
    assert f'"{name}", "{hardware.MODELS[name].name}"' in " ".join(models.split())
    assert f"0x{hardware.MODELS[name].device:04X}10DE" in models


def test_everybody_reads_the_state_and_its_owner_writes_it(tmp_path: Path) -> None:
    """Pods of any user ask NVML."""
    umask = os.umask(0o077)
    try:
        hardware.create(tmp_path, "n1", "L40S", 1)
    finally:
        os.umask(umask)
    assert (tmp_path / hardware.STATE).stat().st_mode & 0o777 == 0o644
