"""What is judged is read from one host, each part apart, and a declaration decides how much."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pynvml
import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import kernel, pci
from ansible.module_utils.groundwork.gpu import observe as gpus
from ansible.module_utils.groundwork.gpu.mig import declare as mig
from ansible.module_utils.groundwork.gpu.model import Driver, Failure, Gpu, Pci
from ansible.module_utils.groundwork.gpu.verify import cuda, nodes, xid
from ansible.module_utils.groundwork.gpu.verify.observe import Layout, State, observe
from ansible.module_utils.groundwork.gpu.verify.wanted import Wanted
from ansible.module_utils.groundwork.gpu.verify.worker import verify

from tests.unit.module_utils.fakes import Commands, gpu_library, refuse

CARDS = (nodes.Card("0000:1b:00.0", "GPU-a", 0), nodes.Card("0000:43:00.0", "GPU-b", 1))
GIVEN: dict[str, Any] = {"declaration_only": False, "timeout_seconds": 5.0, "ignored": [], "products": []}


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No driver, no PCI and no CUDA but what a test says."""
    monkeypatch.setattr(pci, "observe", tuple)
    monkeypatch.setattr(kernel, "observe", lambda *_: ("580.126.09", True))
    monkeypatch.setattr(nodes, "observe", lambda: nodes.Driver(CARDS[:1], ()))
    monkeypatch.setattr(cuda, "initialise", lambda _seconds: cuda.Cuda(0, 1))
    monkeypatch.setattr(xid, "read", functools.partial(xid.read, root=tmp_path))


def state(*gpus_: Gpu, cards: tuple[nodes.Card, ...] = CARDS) -> State:
    found = gpus.Host(Driver(), gpus.NvmlState(True), gpus_, ())
    return State(found, driver=nodes.Driver(cards, ()) if cards else None)


def test_a_healthy_host_is_one_picture() -> None:
    found = observe(Wanted(), 5, Commands({}), gpu_library())
    assert found.host.nvml.available
    assert found.cuda == cuda.Cuda(0, 1)
    assert found.log.unread == "this host keeps no journal"
    assert found.layout is None


def test_a_layout_is_looked_at_where_it_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def declare(*arguments: object) -> dict[str, list[str]]:
        asked.extend(arguments[1:5])
        return {"actions": ["GPU 0: create 3g.40gb at 0:4"]}

    monkeypatch.setattr(mig, "declare", declare)
    found = observe(Wanted(mig_layout="all-balanced"), 5, Commands({}), gpu_library())
    assert found.layout == Layout(("GPU 0: create 3g.40gb at 0:4",))
    assert asked == ["all-balanced", True, 5, False], "nothing is changed, whoever uses the GPUs"


def test_a_layout_that_cannot_be_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def declare(*_: object) -> None:
        raise GroundworkError("GPU 0 has no profile 9g.90gb", "Choose another.")

    monkeypatch.setattr(mig, "declare", declare)
    found = observe(Wanted(mig_layout="x"), 5, Commands({}), gpu_library())
    assert found.layout == Layout(reason="GPU 0 has no profile 9g.90gb", remedy="Choose another.")


def test_a_layout_is_not_looked_at_while_a_gpu_is_silent() -> None:
    lost = gpu_library(DeviceGetHandleByIndex=refuse(pynvml.NVML_ERROR_GPU_IS_LOST))
    assert observe(Wanted(mig_layout="all-disabled"), 5, Commands({}), lost).layout is None


def test_a_gpu_is_called_by_all_that_is_known_of_it() -> None:
    told, silent = Gpu(0, "GPU-a", pci=Pci("0000:1b:00.0")), Gpu(1, error=Failure("GpuIsLost", "lost", "Reboot."))
    assert state(told, silent).title(told) == "GPU 0 (GPU-a, 0000:1b:00.0)"
    assert state(told, silent).title(silent) == "GPU 1 (GPU-b, 0000:43:00.0)"
    assert state(silent, cards=()).title(silent) == "GPU 1 (it does not tell its UUID)"
    assert state(silent).title(silent) == "GPU 1 (it does not tell its UUID)", (
        "lists that differ are not put side by side"
    )


def test_an_xid_finds_its_gpu_by_place() -> None:
    told, silent = Gpu(0, "GPU-a", pci=Pci("0000:1b:00.0")), Gpu(1)
    titles = {"0000:1b:00": "GPU 0 (GPU-a, 0000:1b:00.0)", "0000:43:00": "GPU 1 (GPU-b, 0000:43:00.0)"}
    assert state(told, silent).titles() == titles
    assert state(told).titles() == {**titles, "0000:43:00": "a GPU (GPU-b, 0000:43:00.0)"}
    assert state(told, cards=()).titles() == {"0000:1b:00": titles["0000:1b:00"]}


def test_the_worker_declares_observes_and_judges() -> None:
    found = {
        check.name: check
        for check in verify({**GIVEN, "count": 1, "products": ["*h100*"]}, Commands({}), gpu_library())
    }
    assert found["nvidia_gpu.count"].status == found["nvidia_gpu.product"].status == "ok"
    assert "nvidia_gpu.memory" not in found
    (only,) = verify({**GIVEN, "declaration_only": True, "products": ["*T4*"]}, Commands({}), gpu_library())
    assert (only.name, only.status) == ("nvidia_gpu.declaration", "failed")


def test_the_worker_looks_at_nothing_where_the_declaration_cannot_be_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "observe", lambda *_: pytest.fail("it looked"))
    with pytest.raises(GroundworkError, match="pcie_width is 3"):
        verify({**GIVEN, "pcie_width": 3}, Commands({}))
