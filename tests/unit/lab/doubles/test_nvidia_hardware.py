"""The GPUs that are plugged into a lab host."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.doubles.nvidia import hardware, pci
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
    hardware.put(etc, 0, mig=1, fault="hang", ecc_uncorrected=4, power_limit_mw=500000, ecc=0)
    hardware.put_host(etc, cuda_fault=802)
    hardware.clear(etc)
    assert section(etc, "gpu.0") == {**before, "mig": "1", "power_limit_mw": "500000", "ecc": "0"}
    assert section(etc, "host") == {}


FAULTS: dict[str, Callable[[Path], object]] = {
    "lost": lambda etc: hardware.lose(etc, 0),
    "ecc": lambda etc: hardware.corrupt(etc, 0, 3),
    "remap": lambda etc: hardware.remap(etc, 0, "failed"),
    "throttle": lambda etc: hardware.throttle(etc, 0, "hw_slowdown"),
    "pcie": lambda etc: hardware.narrow(etc, 0, 3, 8),
    "fabric": lambda etc: hardware.fabric(etc, "in_progress"),
    "unplug": lambda etc: hardware.unplug(etc, 0),
    "product": lambda etc: hardware.replace(etc, 0, "L40S"),
}


def tree(etc: Path) -> dict[str, bytes]:
    return {str(path.relative_to(etc)): path.read_bytes() for path in sorted(etc.rglob("*")) if path.is_file()}


def without_events(found: dict[str, bytes]) -> dict[str, bytes]:
    """Events stay: they are history."""
    return {name: text for name, text in found.items() if name != str(hardware.STATE)}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_changes_something_and_is_mended(etc: Path, fault: str) -> None:
    before, gpu, host = tree(etc), section(etc, "gpu.0"), section(etc, "host")
    FAULTS[fault](etc)
    assert tree(etc) != before
    hardware.clear(etc)
    assert without_events(tree(etc)) == without_events(before)
    assert section(etc, "gpu.0") == gpu
    assert {key: value for key, value in section(etc, "host").items() if key != "events"} == host


def test_a_lab_of_before_is_mended_too(etc: Path) -> None:
    (etc / hardware.BOUGHT).unlink()
    hardware.hang(etc, 0)
    hardware.clear(etc)
    assert "fault" not in section(etc, "gpu.0")


def test_an_xid_reads_as_in_a_kernels_log(etc: Path) -> None:
    begin, end = "NVRM: Xid (PCI:0000:43:00): ", "pid='<unknown>', name=<unknown>"
    assert hardware.lose(etc, 1) == f"{begin}79, {end}, GPU has fallen off the bus."
    assert hardware.xid(etc, 1, 155) == f"{begin}155, {end}"


def test_what_a_model_cannot_have_is_refused(tmp_path: Path, etc: Path) -> None:
    hardware.create(tmp_path / "old", "n4", "T4", 1)
    with pytest.raises(LabError, match="H100-80GB retires no pages"):
        hardware.retire(etc, 0, 2)
    with pytest.raises(LabError, match="T4 remaps no rows"):
        hardware.remap(tmp_path / "old", 0, "pending")
    hardware.retire(tmp_path / "old", 0, 2)
    assert section(tmp_path / "old", "gpu.0")["retired_dbe"] == "2"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda etc: hardware.throttle(etc, 0, "laziness"), "not held back by 'laziness'"),
        (lambda etc: hardware.fabric(etc, "torn"), "a fabric is not 'torn'"),
        (lambda etc: hardware.narrow(etc, 0, 7, 16), "no generation 7"),
        (lambda etc: hardware.remap(etc, 0, "soon"), "cannot be 'soon'"),
        (lambda etc: hardware.replace(etc, 0, "H1000"), "no GPU model 'H1000'"),
        (lambda etc: hardware.claim(etc, "580.95.05"), "no driver is loaded"),
    ],
)
def test_nonsense_changes_nothing(etc: Path, fault: Callable[[Path], None], message: str) -> None:
    before = tree(etc)
    with pytest.raises(LabError, match=message):
        fault(etc)
    assert tree(etc) == before


def test_a_narrow_link_shows_in_pci(etc: Path) -> None:
    hardware.narrow(etc, 0, 4, 8)
    function = etc / hardware.FUNCTIONS / "0000:1b:00.0"
    assert (function / "current_link_speed").read_text() == "16.0 GT/s PCIe\n"
    assert (function / "current_link_width").read_text() == "8\n"
    assert (function / "max_link_speed").read_text() == "32.0 GT/s PCIe\n"


def test_a_module_may_claim_another_version(etc: Path) -> None:
    hardware.put_host(etc, driver="580.126.09")
    (etc / hardware.VERSION).parent.mkdir(parents=True)
    (etc / hardware.VERSION).write_text("NVRM version: 580.126.09\n")
    hardware.claim(etc, "580.95.05")
    hardware.claim(etc, "595.71.05")
    assert section(etc, "host")["driver"] == "595.71.05"
    assert "595.71.05" in (etc / hardware.VERSION).read_text()
    hardware.clear(etc)
    assert section(etc, "host")["driver"] == "580.126.09"
    assert (etc / hardware.VERSION).read_text() == "NVRM version: 580.126.09\n"


@pytest.mark.parametrize(
    ("model", "vendor", "device"),
    [("A100-80GB", "0x10de", "0x1af1"), ("H200-141GB", "0x10de", "0x22a3"), ("B200", "0x15b3", "0x1021")],
)
def test_switches_are_pci_functions(tmp_path: Path, model: str, vendor: str, device: str) -> None:
    hardware.create(tmp_path, "n2", model, 8, 4)
    functions = tmp_path / hardware.FUNCTIONS
    found = [path for path in functions.iterdir() if (path / "device").read_text().strip() == device]
    assert [(path / "vendor").read_text().strip() for path in found] == [vendor] * 4
    assert section(tmp_path, "host") == {"switches": "4"}
    assert (found[0] / "vpd").exists() == (model == "B200")


@pytest.mark.parametrize(("model", "count", "switches"), [("L40S", 2, 4), ("H100-80GB", 8, 5)])
def test_switches_that_do_not_go_with_the_gpus_are_refused(
    tmp_path: Path, model: str, count: int, switches: int
) -> None:
    with pytest.raises(LabError, match="NVSwitches do not go with"):
        hardware.create(tmp_path, "n2", model, count, switches)


def test_a_process_may_be_on_an_instance(etc: Path) -> None:
    hardware.occupy(etc, 0, 4711, "python3", 10, instance=9)
    assert section(etc, "gpu.0.proc.0") == {
        "pid": "4711", "name": "python3", "mem_mib": "10", "gi": "9", "ci": "0"
    }  # fmt: skip


def test_processes_come_and_go(etc: Path) -> None:
    hardware.occupy(etc, 1, 4242, "python3", 1000)
    hardware.occupy(etc, 1, 4243, "python3", 2000)
    assert section(etc, "gpu.1.proc.1")["pid"] == "4243"
    hardware.vacate(etc, 1)
    assert section(etc, "gpu.1.proc.0") == {}


def test_buses_are_distinct_and_fit_every_gpu() -> None:
    assert len(set(hardware.BUSES)) == hardware.MAX_GPUS


@pytest.mark.parametrize("name", pci.MODELS)
def test_the_library_knows_every_model(name: str) -> None:
    models = (Path(hardware.__file__).parent / "library/models.c").read_text()
    model = pci.MODELS[name]
    ids = f".pci_id = 0x{model.device:04X}10DE, .pci_subsys = 0x{model.subsystem:04X}10DE"
    assert f'.key = "{name}", .name = "{model.name}", {ids}' in " ".join(models.split())


def test_everybody_reads_the_state_and_its_owner_writes_it(tmp_path: Path) -> None:
    """Pods of any user ask NVML."""
    umask = os.umask(0o077)
    try:
        hardware.create(tmp_path, "n1", "L40S", 1)
    finally:
        os.umask(umask)
    assert (tmp_path / hardware.STATE).stat().st_mode & 0o777 == 0o644
