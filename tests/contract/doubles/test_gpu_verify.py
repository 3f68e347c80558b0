"""nvidia_gpu_verify on the double: a fault makes each check fail, is found under its own name, and is mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.doubles.nvidia import hardware
from tests.contract.doubles.nvidia_host import Host, needs_compiler, needs_root
from tests.contract.doubles.verified_host import VerifiedHost, Worker

pytestmark = [needs_compiler, needs_root]

H100 = {
    "count": 2,
    "products": ["*H100 80GB*"],
    "memory_mib": 81559,
    "driver_branch": "580",
    "pcie_generation": 5,
    "pcie_width": 16,
    "nvlinks": 18,
    "persistence": True,
    "mig_layout": "all-disabled",
}
T4 = {"count": 1, "products": ["*t4"], "pcie_generation": 3, "retired_pages_max": 2}
Break = Callable[[VerifiedHost], "str | None"]
"""What breaks, and what the kernel says of it."""


def put(**fields: str | int) -> Break:
    return lambda host: hardware.put(host.etc, 1, **fields)


FAULTS: list[tuple[str, Break, str, set[str]]] = [
    ("gpus_answer", lambda host: hardware.lose(host.etc, 1), "GPU is lost", {"count", "xid"}),
    ("count", lambda host: hardware.unplug(host.etc, 1), "1 GPUs answer", set()),
    (
        "product",
        lambda host: hardware.replace(host.etc, 1, "A100-40GB"),
        "is a NVIDIA A100",
        {"memory", "pcie_generation", "nvlinks"},
    ),
    ("memory", put(mem_total_mib=40960), "has 40960 MiB", set()),
    (
        "driver_branch",
        lambda host: hardware.claim(host.etc, "575.57.08"),
        "driver 575.57.08",
        {"driver_matches_library", "gpus_answer", "count", "cuda"},
    ),
    (
        "driver_matches_library",
        lambda host: hardware.claim(host.etc, "580.95.05"),
        "another version than the loaded module 580.95.05",
        {"gpus_answer", "count", "cuda"},
    ),
    ("cuda", lambda host: hardware.put_host(host.etc, cuda_fault=802), "error 802: system not yet ready", set()),
    ("cuda", lambda host: hardware.put_host(host.etc, cuda_fault=999), "error 999", set()),
    ("ecc_uncorrected", lambda host: hardware.corrupt(host.etc, 1, 2), "2 uncorrected errors", {"xid"}),
    ("row_remap", lambda host: hardware.remap(host.etc, 1, "pending"), "waits to be remapped", set()),
    ("row_remap", lambda host: hardware.remap(host.etc, 1, "failed"), "could not be remapped", {"xid"}),
    ("xid", lambda host: hardware.xid(host.etc, 1, 119), "Xid 119", set()),
    ("throttling", lambda host: hardware.throttle(host.etc, 1, "hw_thermal_slowdown"), "too hot", set()),
    ("throttling", lambda host: hardware.throttle(host.etc, 1, "hw_power_brake_slowdown"), "power brake", set()),
    ("pcie_generation", lambda host: hardware.narrow(host.etc, 1, 3, 16), "generation 3", set()),
    ("pcie_width", lambda host: hardware.narrow(host.etc, 1, 5, 8), "8 lanes", set()),
    ("nvlinks", put(links_down="3,7"), "16 active NVLinks, down: 3, 7", set()),
    ("persistence", put(persistence=0), "persistence mode is off", set()),
    ("mig_layout", lambda host: host.smi("-i", "1", "-mig", "1"), "disable MIG mode", set()),
    ("fabric", lambda host: hardware.fabric(host.etc, "in_progress"), "registration is in progress", {"cuda"}),
]
OF_THE_HOST = {"driver_branch", "driver_matches_library", "cuda", "count"}
"""Faults that no single GPU has; a GPU that is gone has no name."""
NAMES = [f"{fault[0]}-{number}" for number, fault in enumerate(FAULTS)]


@pytest.fixture(scope="module")
def worker(driver: Path) -> Iterator[Worker]:
    with Worker(driver) as started:
        yield started


@pytest.fixture
def verified(host: Host, worker: Worker) -> VerifiedHost:
    return VerifiedHost(host, worker)


def provoke(host: VerifiedHost, break_it: Break) -> None:
    if line := break_it(host):
        host.log(line)


def mend(host: VerifiedHost) -> None:
    """Faults go; how GPUs were set, and what the kernel said, is put right apart."""
    hardware.clear(host.etc)
    hardware.put(host.etc, 1, persistence=1)
    host.smi("-i", "1", "-mig", "0")
    host.forget()


def failed(checks: dict[str, dict[str, str]]) -> dict[str, str]:
    """What was observed of the checks that failed."""
    return {name: check["observed"] for name, check in checks.items() if check["status"] == "failed"}


def statuses(checks: dict[str, dict[str, str]]) -> set[str]:
    return {check["status"] for check in checks.values()}


def test_healthy_gpus_pass_every_check(verified: VerifiedHost) -> None:
    found = verified.verify(**H100)
    assert statuses(found) == {"ok"}, found
    assert set(found) == {fault[0] for fault in FAULTS} | {"device_nodes"}, "each of them is made to fail below"


@pytest.mark.parametrize(("name", "break_it", "said", "beside"), FAULTS, ids=NAMES)
def test_a_fault_is_found_under_its_own_name_and_mended(
    verified: VerifiedHost, name: str, break_it: Break, said: str, beside: set[str]
) -> None:
    provoke(verified, break_it)
    uuid = hardware.uuids(verified.etc)[1]
    found = verified.verify(**H100)
    assert set(failed(found)) == {name} | beside, failed(found)
    assert said in found[name]["observed"]
    assert found[name]["remedy"]
    if name not in OF_THE_HOST:
        assert f"GPU 1 ({uuid}, " in found[name]["observed"]
    mend(verified)
    assert statuses(verified.verify(**H100)) == {"ok"}


@pytest.mark.parametrize("node", ["nvidiactl", "nvidia-uvm", "nvidia1"])
def test_a_device_node_that_is_gone_is_named(verified: VerifiedHost, node: str) -> None:
    (verified.dev / node).unlink()
    assert f"{node} is missing" in failed(verified.verify(**H100))["device_nodes"]


def test_a_device_node_that_nobody_may_open_is_named(verified: VerifiedHost) -> None:
    (verified.dev / "nvidia-uvm").chmod(0o600)
    found = failed(verified.verify(**H100))
    assert set(found) == {"device_nodes"}
    assert found["device_nodes"].endswith("nvidia-uvm has mode 0600, not 0666")


def test_a_gpu_that_hangs_ends_at_its_deadline_and_hides_no_other(verified: VerifiedHost) -> None:
    hardware.hang(verified.etc, 1)
    hardware.corrupt(verified.etc, 0, 3)
    found = failed(verified.verify(timeout_seconds=1.0))
    assert "GPU 1 " in found["gpus_answer"]
    assert "No answer in time" in found["gpus_answer"]
    assert "GPU 0 " in found["ecc_uncorrected"]
    assert found["cuda"] == "No answer in time from CUDA (cuInit)"


def test_gpus_before_ampere_retire_pages(plugged: Callable[..., Host], worker: Worker) -> None:
    verified = VerifiedHost(plugged("T4"), worker)
    assert statuses(verified.verify(**T4)) == {"ok"}
    line = hardware.retire(verified.etc, 0, 3)
    assert failed(verified.verify(**T4)).keys() == {"retired_pages"}
    hardware.put(verified.etc, 0, retired_pending=0)
    assert failed(verified.verify(**T4))["retired_pages"].endswith("3 retired pages")
    assert failed(verified.verify(**{**T4, "retired_pages_max": 3})) == {}
    verified.log(line)
    assert verified.verify(**T4)["xid"]["status"] == "warning"


def test_a_mig_device_needs_its_own_nodes(verified: VerifiedHost) -> None:
    verified.smi("-i", "1", "-mig", "1")
    verified.smi("mig", "-cgi", "1g.10gb", "-C", "-i", "1")
    layout = (
        {"devices": [0], "mig-enabled": False},
        {"devices": [1], "mig-enabled": True, "mig-devices": {"1g.10gb": 1}},
    )
    declared = {**H100, "mig_layout": "one", "mig_config": {"version": "v1", "mig-configs": {"one": list(layout)}}}
    found = verified.verify(**declared)
    assert set(failed(found)) <= {"device_nodes"}, failed(found)
    verified.smi("mig", "-dci", "-i", "1")
    verified.smi("mig", "-dgi", "-i", "1")
    assert "create 1g.10gb" in failed(verified.verify(**declared))["mig_layout"]


@pytest.mark.parametrize("number", [13, 31, 43, 45])
def test_a_programs_own_xid_is_no_false_alarm(verified: VerifiedHost, number: int) -> None:
    verified.log(hardware.xid(verified.etc, 1, number))
    found = verified.verify(**H100)
    assert statuses(found) == {"ok"}
    assert f"Xid {number} " in found["xid"]["observed"]


def test_what_is_not_declared_is_not_judged(verified: VerifiedHost) -> None:
    put(mem_total_mib=40960, persistence=0, links_down="1")(verified)
    hardware.narrow(verified.etc, 1, 3, 4)
    assert statuses(verified.verify()) == {"ok"}


def test_healthy_runs_raise_no_alarm(verified: VerifiedHost) -> None:
    """The worker as it runs, so often as a test of minutes may; a thousand times in soak."""
    runs = verified.runs(20, **H100)
    assert [check for checks in runs for check in checks if check["status"] != "ok"] == []
    assert len(runs) == 20
