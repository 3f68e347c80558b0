"""What is declared of GPUs, applied at a boot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pynvml
import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import boot

from tests.unit.module_utils.fakes import gpu_library, refuse, waiter

NOTHING: dict[str, Any] = {"actions": [], "reset_required": []}


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Has a worker answer, and says what it was asked."""

    def made(answer: dict[str, Any] | GroundworkError, **arguments: object) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []

        def worker(**given: Any) -> dict[str, Any]:
            asked.append(given)
            if isinstance(answer, GroundworkError):
                raise answer
            return answer

        monkeypatch.setattr(boot, "WORKERS", {"mig": worker})
        monkeypatch.setattr(boot, "DECLARATIONS", tmp_path)
        (tmp_path / "mig.json").write_text(json.dumps(arguments))
        return asked

    return made


def test_what_is_declared_is_applied(
    declare: Callable[..., list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    library = gpu_library()
    asked = declare({**NOTHING, "actions": ["GPU 0: enable MIG"]}, selected="all-enabled")
    assert boot.main(["mig"], library, waiter()) == 0
    assert asked == [{"selected": "all-enabled", "change": True, "library": library}]
    assert capsys.readouterr().out == "GPU 0: enable MIG\n"


def test_where_nothing_is_to_do_it_says_so(
    declare: Callable[..., list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    declare(NOTHING)
    assert boot.main(["mig"], gpu_library(), waiter()) == 0
    assert "as declared" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (GroundworkError("GPU 1 is lost", "Reboot."), "GPU 1 is lost. Reboot."),
        (NOTHING | {"reset_required": [{"gpu": "GPU-1", "reason": "In use"}]}, "A reset is needed: GPU-1: In use"),
    ],
)
def test_gpus_that_are_not_as_declared_fail_the_unit(
    declare: Callable[..., list[dict[str, Any]]],
    capsys: pytest.CaptureFixture[str],
    answer: dict[str, Any] | GroundworkError,
    said: str,
) -> None:
    declare(answer)
    assert boot.main(["mig"], gpu_library(), waiter()) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[1]"])
def test_a_declaration_that_cannot_be_read_is_told(
    declare: Callable[..., list[dict[str, Any]]], capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str
) -> None:
    asked = declare(NOTHING)
    (tmp_path / "mig.json").write_text(text)
    assert boot.main(["mig"], gpu_library(), waiter()) == 1
    assert "playbooks/gpu.yml" in capsys.readouterr().err
    assert asked == []


@pytest.mark.parametrize("names", [[], ["wind"], ["mig", "mig"]])
def test_a_wrong_call_says_how(names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert boot.main(names) == 2
    assert "usage: boot mig" in capsys.readouterr().err


def test_a_driver_that_is_being_loaded_is_waited_for(
    declare: Callable[..., list[dict[str, Any]]], tmp_path: Path
) -> None:
    """Each question is a child, which this file outlives."""
    count = tmp_path / "asked"

    def init() -> None:
        count.write_text((count.read_text() if count.exists() else "") + ".")
        if len(count.read_text()) < 3:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    declare(NOTHING)
    assert boot.main(["mig"], gpu_library(Init=init), waiter()) == 0
    assert count.read_text() == "..."


def test_a_driver_that_never_comes_is_for_the_worker_to_tell(declare: Callable[..., list[dict[str, Any]]]) -> None:
    asked = declare(GroundworkError("NVML Init: Driver Not Loaded", "Load it."))
    library = gpu_library(Init=refuse(pynvml.NVML_ERROR_DRIVER_NOT_LOADED))
    assert boot.main(["mig"], library, waiter(2)) == 1
    assert len(asked) == 1
