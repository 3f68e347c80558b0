"""Every check of a host's GPUs: passed, failed under its own name with the GPU's, and absent where not declared."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.groundwork.check import Check
from ansible.module_utils.groundwork.gpu.model import (
    Clocks,
    Driver,
    Ecc,
    Fabric,
    Failure,
    Gpu,
    Memory,
    Mig,
    MigDevice,
    NvLink,
    Pci,
    PciDevice,
    RetiredPages,
    Temperature,
)
from ansible.module_utils.groundwork.gpu.observe import Host, NvmlState
from ansible.module_utils.groundwork.gpu.verify import cuda, nodes
from ansible.module_utils.groundwork.gpu.verify.judge import CHECKS, declaration, judge
from ansible.module_utils.groundwork.gpu.verify.observe import Layout, State
from ansible.module_utils.groundwork.gpu.verify.wanted import HEALTH, Wanted
from ansible.module_utils.groundwork.gpu.verify.xid import KernelLog, Seen
from hypothesis import given
from hypothesis import strategies as st

PLACES = ("0000:1b:00.0", "0000:43:00.0")
TITLE = "GPU 1 (GPU-1, 0000:43:00.0)"
Change = Callable[[State], State]


def h100(index: int, **fields: Any) -> Gpu:
    """A healthy one."""
    healthy = Gpu(
        index=index,
        uuid=f"GPU-{index}",
        name="NVIDIA H100 80GB HBM3",
        minor_number=index,
        pci=Pci(PLACES[index], "2330", "16c1", 0, 5, 5, 16, 16),
        memory=Memory(81559, 0, 80979, 580),
        mig=Mig("disabled", "disabled"),
        ecc=Ecc("enabled", "enabled", 3, 0, 12, 0, 0, 0, False, False),
        retired_pages=RetiredPages(0, 0, False),  # an H100 has none of these; this one tells all that can be told
        nvlinks=tuple(NvLink(number, True) for number in range(18)),
        fabric=Fabric("completed", 0),
        temperature=Temperature(41, 89, 94),
        clocks=Clocks(1980, 1980, 2619, 2619, 0x1),
        processes=(),
        performance_state=0,
        persistence_mode=True,
    )
    return dataclasses.replace(healthy, **fields)


def plugged(place: str) -> PciDevice:
    return PciDevice(place, "gpu", "2330", "16c1", "nvidia", 0, 16, 16, "32.0 GT/s PCIe", "32.0 GT/s PCIe")


CARDS = tuple(nodes.Card(place, f"GPU-{index}", index) for index, place in enumerate(PLACES))
CONTROL = nodes.Node(195, 255, 0o666)
DRIVER = Driver("580.126.09", "13.0", "13.580.126.09", "580.126.09", True)
HEALTHY = State(
    host=Host(DRIVER, NvmlState(True), (h100(0), h100(1)), tuple(map(plugged, PLACES))),
    driver=nodes.Driver(CARDS, (nodes.Place("/dev/nvidiactl", CONTROL, CONTROL),)),
    cuda=cuda.Cuda(0, 2),
    layout=Layout(),
)
ALL = Wanted(
    count=2,
    products=("*h100*",),
    memory_mib=81559,
    driver_branch="580",
    pcie_generation=5,
    pcie_width=16,
    nvlinks=18,
    persistence=True,
    retired_pages_max=10,
    mig_layout="all-disabled",
)


def host(**fields: Any) -> Change:
    return lambda state: dataclasses.replace(state, host=dataclasses.replace(state.host, **fields))


def second(**fields: Any) -> Change:
    """The second GPU is another."""
    return host(gpus=(h100(0), h100(1, **fields)))


def state(**fields: Any) -> Change:
    return lambda before: dataclasses.replace(before, **fields)


def driver(**fields: Any) -> Change:
    return host(driver=dataclasses.replace(DRIVER, **fields))


def xids(*numbers: int) -> Change:
    return state(log=KernelLog(tuple(Seen("0000:43:00", number) for number in numbers)))


LOST = Failure("GpuIsLost", "NVML DeviceGetHandleByIndex: GPU is lost", "Drain the node and reboot it.")
MISMATCH = NvmlState(False, "NVML Init: Driver/library version mismatch", "Reboot.", "LibRmVersionMismatch")
GONE = nodes.Place("/dev/nvidia1", nodes.Node(195, 1, 0o666), None)

# What is wrong, and what is said of it: the name of the check first.
FAULTS: list[tuple[str, Change, str]] = [
    ("gpus_answer", second(fabric=None, error=LOST), f"{TITLE}: NVML DeviceGetHandleByIndex: GPU is lost"),
    ("gpus_answer", host(gpus=(h100(0),)), "the GPU at 0000:43:00.0 is not among those of the driver"),
    ("count", host(gpus=(h100(0),), pci_devices=(plugged(PLACES[0]),)), "1 GPUs answer, 1 on the PCI bus"),
    ("product", second(name="NVIDIA A100-SXM4-80GB"), f"{TITLE}: is a NVIDIA A100-SXM4-80GB"),
    ("memory", second(memory=Memory(40960, 0, 40960, 0)), f"{TITLE}: has 40960 MiB"),
    ("driver_branch", driver(version="575.57.08", kernel_module_version="575.57.08"), "driver 575.57.08"),
    ("driver_matches_library", driver(kernel_module_version="580.95.05"), "library 580.126.09, module 580.95.05"),
    ("device_nodes", state(driver=nodes.Driver(CARDS, (GONE,))), "/dev/nvidia1 is missing"),
    ("cuda", state(cuda=cuda.Cuda(802, 0, "error 802: system not yet ready", "Start it.")), "error 802"),
    ("cuda", state(cuda=cuda.Cuda(reason="No answer in time from CUDA (cuInit)")), "No answer in time"),
    ("cuda", state(cuda=cuda.Cuda(0, 0)), "0 devices"),
    ("ecc_uncorrected", second(ecc=Ecc(uncorrected_volatile=2)), f"{TITLE}: 2 uncorrected errors"),
    ("row_remap", second(ecc=Ecc(remapping_pending=True)), f"{TITLE}: a row waits to be remapped"),
    (
        "row_remap",
        second(ecc=Ecc(remapping_pending=True, remapping_failed=True)),
        f"{TITLE}: a row could not be remapped",
    ),
    ("retired_pages", second(retired_pages=RetiredPages(1, 0, True)), f"{TITLE}: a page waits to be retired"),
    ("retired_pages", second(retired_pages=RetiredPages(6, 5, False)), f"{TITLE}: 11 retired pages"),
    ("xid", xids(79), f"{TITLE}: Xid 79 (the GPU has fallen off the bus)"),
    ("xid", xids(13, 48, 63), f"{TITLE}: Xid 48 (a memory error that could not be corrected); {TITLE}: Xid 63"),
    ("xid", xids(9999), f"{TITLE}: Xid 9999 (not in the catalogue"),
    ("throttling", second(clocks=Clocks(event_reasons=0x40)), f"{TITLE}: slowed down by hardware, too hot (41 °C)"),
    ("throttling", second(clocks=Clocks(event_reasons=0x80)), f"{TITLE}: slowed down by the power brake"),
    ("throttling", second(clocks=Clocks(event_reasons=0x20)), f"{TITLE}: slowed down by the driver, too hot"),
    ("pcie_generation", second(pci=Pci(PLACES[1], link_generation=3, link_generation_max=5)), f"{TITLE}: generation 3"),
    (
        "pcie_generation",
        second(performance_state=8, pci=Pci(PLACES[1], link_generation=1, link_generation_max=4)),
        f"{TITLE}: generation 4 at most",
    ),
    ("pcie_width", second(pci=Pci(PLACES[1], link_width=8, link_width_max=16)), f"{TITLE}: 8 lanes"),
    (
        "nvlinks",
        second(nvlinks=tuple(NvLink(number, number not in (3, 7)) for number in range(18))),
        f"{TITLE}: 16 active NVLinks, down: 3, 7",
    ),
    ("nvlinks", second(nvlinks=None), f"{TITLE}: 0 active NVLinks"),
    ("persistence", second(persistence_mode=False), f"{TITLE}: persistence mode is off"),
    ("mig_layout", state(layout=Layout(("GPU 1: disable MIG mode",))), "1 steps away from it: GPU 1: disable MIG mode"),
    (
        "mig_layout",
        state(layout=Layout(reason="There is no MIG layout x", remedy="Choose one.")),
        "There is no MIG layout",
    ),
    ("fabric", second(fabric=Fabric("in_progress", 0)), f"{TITLE}: its registration is in progress"),
    ("fabric", second(fabric=Fabric("completed", 999)), f"{TITLE}: its registration ended with error 999"),
    ("fabric", second(fabric=Fabric("completed", 0, ("degraded_bandwidth",))), f"{TITLE}: degraded bandwidth"),
]
NAMES = [each.__name__ for each in CHECKS]
BESIDE = {"gpus_answer": {"count"}}
"""What else must be at fault: a GPU that does not answer does not count."""


def by_name(verdicts: list[Check]) -> dict[str, Check]:
    return {verdict.name.removeprefix("nvidia_gpu."): verdict for verdict in verdicts}


def test_a_healthy_host_passes_every_check() -> None:
    found = by_name(judge(ALL, HEALTHY))
    assert list(found) == NAMES
    assert {verdict.status for verdict in found.values()} == {"ok"}


def test_what_is_not_declared_is_not_judged() -> None:
    found = by_name(judge(Wanted(), HEALTHY))
    assert set(found) == set(HEALTH)
    assert {verdict.status for verdict in found.values()} == {"ok"}


@pytest.mark.parametrize("name", NAMES)
def test_every_check_has_its_fault(name: str) -> None:
    assert name in {fault[0] for fault in FAULTS}


@pytest.mark.parametrize(("name", "change", "said"), FAULTS, ids=[f"{fault[0]}-{n}" for n, fault in enumerate(FAULTS)])
def test_a_fault_is_found_under_its_own_name_alone(name: str, change: Change, said: str) -> None:
    found = by_name(judge(ALL, change(HEALTHY)))
    wrong = {each for each, verdict in found.items() if verdict.status != "ok"}
    assert wrong == {name} | (BESIDE.get(name, set()))
    verdict = found[name]
    assert (verdict.status, said in verdict.observed) == ("failed", True), verdict
    assert verdict.wanted
    assert verdict.remedy


@pytest.mark.parametrize(("name", "change", "said"), FAULTS, ids=[f"{fault[0]}-{n}" for n, fault in enumerate(FAULTS)])
def test_what_is_not_declared_or_left_out_is_no_fault(name: str, change: Change, said: str) -> None:
    left_out = Wanted(ignored=frozenset({name, *BESIDE.get(name, ())} & set(HEALTH)))
    found = judge(left_out, change(HEALTHY))
    assert [verdict for verdict in found if verdict.status == "failed"] == [], said
    assert name not in by_name(found)


def test_two_gpus_at_fault_are_both_named() -> None:
    remapped = Ecc(remapping_failed=True)
    found = by_name(judge(ALL, host(gpus=(h100(0, ecc=remapped), h100(1, ecc=remapped)))(HEALTHY)))
    assert found["row_remap"].observed.count("a row could not be remapped") == 2
    assert "GPU 0 (GPU-0, 0000:1b:00.0)" in found["row_remap"].observed


def test_a_lost_gpu_is_named_out_of_the_drivers_own_list() -> None:
    found = by_name(judge(ALL, host(gpus=(h100(0), Gpu(1, error=LOST)))(HEALTHY)))
    assert found["gpus_answer"].observed.startswith(f"{TITLE}: ")
    assert found["gpus_answer"].remedy == LOST.remedy
    assert TITLE in found["count"].observed
    assert {name for name, verdict in found.items() if verdict.status == "failed"} == {"gpus_answer", "count"}


def test_a_lost_gpu_that_nobody_lists_has_its_index() -> None:
    lost = state(driver=None)(host(gpus=(h100(0), Gpu(1, error=LOST)))(HEALTHY))
    assert by_name(judge(ALL, lost))["gpus_answer"].observed.startswith("GPU 1 (it does not tell its UUID): ")


def test_a_gpu_passed_on_to_a_virtual_machine_is_none_of_the_hosts() -> None:
    passed_on = dataclasses.replace(plugged(PLACES[1]), driver="vfio-pci")
    found = host(gpus=(h100(0),), pci_devices=(plugged(PLACES[0]), passed_on))(HEALTHY)
    assert by_name(judge(Wanted(), found))["gpus_answer"].status == "ok"


def test_a_driver_and_a_library_that_differ_are_found_where_nvml_refuses() -> None:
    broken = host(nvml=MISMATCH, gpus=(), driver=Driver(kernel_module_version="580.95.05"))(HEALTHY)
    broken = state(cuda=cuda.Cuda(803, 0, "error 803: different versions", "Reboot."), layout=None)(broken)
    found = by_name(judge(ALL, broken))
    assert "the loaded module 580.95.05" in found["driver_matches_library"].observed
    failed = {name for name, verdict in found.items() if verdict.status == "failed"}
    assert failed == {"driver_matches_library", "gpus_answer", "count", "cuda"}
    assert found["driver_branch"].status == "ok"
    assert found["row_remap"] == Check("nvidia_gpu.row_remap", "skipped", MISMATCH.reason or "")


def test_a_host_without_a_driver_fails_and_says_what_was_not_judged() -> None:
    nothing = State(
        Host(Driver(), NvmlState(False, "NVML Init: Driver Not Loaded", "Load it."), (), tuple(map(plugged, PLACES)))
    )
    found = by_name(judge(ALL, nothing))
    assert (found["gpus_answer"].status, found["gpus_answer"].remedy) == ("failed", "Load it.")
    assert found["driver_branch"].observed == "driver none"
    assert {name for name, verdict in found.items() if verdict.status == "skipped"} >= {
        "device_nodes", "driver_matches_library", "ecc_uncorrected", "fabric", "mig_layout", "product", "retired_pages",
    }  # fmt: skip


@pytest.mark.parametrize("numbers", [(13,), (31,), (43,), (45,), (13, 31, 43, 45)])
def test_programs_own_xids_are_no_false_alarm(numbers: tuple[int, ...]) -> None:
    found = by_name(judge(ALL, xids(*numbers)(HEALTHY)))["xid"]
    assert found.status == "ok"
    assert all(f"Xid {number} " in found.observed for number in numbers)


def test_an_xid_that_a_gpu_survives_is_a_warning() -> None:
    found = by_name(judge(ALL, xids(63)(HEALTHY)))["xid"]
    assert (found.status, TITLE in found.observed) == ("warning", True)


def test_an_xid_of_a_gpu_that_is_gone_keeps_its_place() -> None:
    found = state(driver=None)(xids(79)(host(gpus=(h100(0),))(HEALTHY)))
    assert by_name(judge(ALL, found))["xid"].observed.startswith("0000:43:00: Xid 79")


def test_a_log_that_cannot_be_read_is_not_judged() -> None:
    found = by_name(judge(ALL, state(log=KernelLog(unread="journalctl: command not found"))(HEALTHY)))["xid"]
    assert (found.status, found.observed) == ("skipped", "journalctl: command not found")


@pytest.mark.parametrize("bits", [0x0, 0x1, 0x2, 0x4, 0x10, 0x100])
def test_idle_set_and_limited_clocks_are_no_throttling(bits: int) -> None:
    assert by_name(judge(ALL, second(clocks=Clocks(event_reasons=bits))(HEALTHY)))["throttling"].status == "ok"


def test_a_link_that_saves_power_is_no_fault() -> None:
    idle = second(performance_state=8, pci=Pci(PLACES[1], link_generation=1, link_generation_max=5, link_width=16))
    assert by_name(judge(ALL, idle(HEALTHY)))["pcie_generation"].status == "ok"


def cut(*devices: MigDevice) -> Mig:
    return Mig("enabled", "enabled", devices)


def test_a_gpu_cut_by_mig_needs_no_nvlink() -> None:
    assert by_name(judge(ALL, second(nvlinks=None, mig=cut())(HEALTHY)))["nvlinks"].status == "ok"


def test_without_any_mig_device_cuda_has_none_and_that_is_no_fault() -> None:
    none = cuda.Cuda(cuda.NO_DEVICE, 0, "error 100: no device", "Look.")
    empty = host(gpus=(h100(0, mig=cut()), h100(1, mig=cut())))(state(cuda=none)(HEALTHY))
    assert by_name(judge(ALL, empty))["cuda"].status == "skipped"
    device = MigDevice(0, "MIG-0", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "1g.10gb", 13, 0, None)
    some = host(gpus=(h100(0, mig=cut(device)), h100(1, mig=cut())))(state(cuda=none)(HEALTHY))
    assert by_name(judge(ALL, some))["cuda"].status == "failed"


def test_what_gpus_do_not_have_is_not_judged() -> None:
    plain = {"retired_pages": RetiredPages(), "fabric": Fabric(), "nvlinks": None}
    found = by_name(judge(Wanted(), host(gpus=(h100(0, **plain), h100(1, **plain)))(HEALTHY)))
    assert not {"retired_pages", "fabric", "nvlinks"} & set(found)


def test_a_layout_is_not_judged_while_a_gpu_is_silent() -> None:
    assert by_name(judge(ALL, state(layout=None)(HEALTHY)))["mig_layout"].status == "skipped"


SILENT = st.sampled_from([field.name for field in dataclasses.fields(Gpu) if field.name not in ("index", "error")])


@given(st.lists(SILENT), st.lists(SILENT))
def test_what_a_gpu_does_not_tell_is_never_a_fault(first: list[str], other: list[str]) -> None:
    """Save that a count of links is wanted of a GPU that has none: see the table above."""
    without: list[dict[str, Any]] = [dict.fromkeys(names) for names in (first, other)]
    quiet = [h100(index, **nothing) for index, nothing in enumerate(without)]
    wanted = dataclasses.replace(ALL, nvlinks=None)
    assert [one for one in judge(wanted, host(gpus=tuple(quiet))(HEALTHY)) if one.status == "failed"] == []


@pytest.mark.parametrize(
    ("wanted", "change", "status", "said"),
    [
        (ALL, state(), "ok", "it fits NVIDIA H100 80GB HBM3"),
        (Wanted(), state(), "ok", "it fits"),
        (Wanted(products=("*H100*", "*B200*")), state(), "failed", "*B200* is no GPU of this host"),
        (Wanted(products=("h100",)), state(), "failed", "h100 is no GPU of this host"),
        (ALL, second(nvlinks=None), "failed", f"18 NVLinks are declared, and {TITLE} cannot have any"),
        (ALL, second(nvlinks=None, mig=cut()), "ok", "it fits"),
        (ALL, host(gpus=(h100(0), Gpu(1, error=LOST))), "ok", "it fits"),
        (ALL, host(nvml=NvmlState(False, "no driver", "x"), gpus=()), "skipped", "no driver"),
        (ALL, host(gpus=()), "ok", "no GPU that tells its name"),
    ],
)
def test_a_declaration_is_judged_before_anything_is_changed(
    wanted: Wanted, change: Change, status: str, said: str
) -> None:
    found = declaration(wanted, change(HEALTHY))
    assert (found.name, found.status) == ("nvidia_gpu.declaration", status)
    assert said in found.observed
