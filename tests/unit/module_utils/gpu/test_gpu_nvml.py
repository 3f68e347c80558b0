"""NVML behind one door."""

from __future__ import annotations

from typing import Any

import pynvml
import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import nvml
from ansible.module_utils.groundwork.gpu.nvml import Nvml, NvmlError

from tests.unit.module_utils.fakes import field_values, library, refuse


def test_an_answer_is_an_answer() -> None:
    assert Nvml(library(DeviceGetName="NVIDIA H100")).ask("DeviceGetName", "handle") == "NVIDIA H100"


def test_bytes_of_old_bindings_become_text() -> None:
    assert Nvml(library(DeviceGetName=b"Tesla T4")).ask("DeviceGetName", "handle") == "Tesla T4"


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND])
def test_what_a_gpu_or_driver_does_not_have_is_none(code: int) -> None:
    assert Nvml(library(DeviceGetFanSpeed=refuse(code))).ask("DeviceGetFanSpeed", "handle") is None


def test_what_the_bindings_do_not_have_is_none() -> None:
    assert Nvml(library()).ask("DeviceGetSomethingNew", "handle") is None
    assert Nvml(library()).constant("SOMETHING_NEW") is None


def test_constants_have_either_spelling() -> None:
    assert Nvml(library()).constant("TEMPERATURE_GPU") == pynvml.NVML_TEMPERATURE_GPU
    assert Nvml(library()).constant("Memory_v2") == pynvml.nvmlMemory_v2


@pytest.mark.parametrize(
    ("code", "name", "remedy"),
    [
        (pynvml.NVML_ERROR_GPU_IS_LOST, "GpuIsLost", "fell off the bus"),
        (pynvml.NVML_ERROR_RESET_REQUIRED, "ResetRequired", "--gpu-reset"),
        (pynvml.NVML_ERROR_NO_PERMISSION, "NoPermission", "root"),
        (pynvml.NVML_ERROR_UNKNOWN, "Unknown", "device cgroup"),
        (pynvml.NVML_ERROR_TIMEOUT, "Timeout", "dmesg"),
    ],
)
def test_refusals_have_a_name_and_a_remedy(code: int, name: str, remedy: str) -> None:
    with pytest.raises(NvmlError) as refused:
        Nvml(library(DeviceGetTemperature=refuse(code))).ask("DeviceGetTemperature", "handle", 0)
    assert refused.value.code == name
    assert refused.value.message.startswith("NVML DeviceGetTemperature: ")
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    ("code", "name", "remedy"),
    [
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "DriverNotLoaded", "modprobe nvidia"),
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "LibraryNotFound", "role gpu_driver"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "LibRmVersionMismatch", "reboot"),
    ],
)
def test_a_driver_that_does_not_answer_says_why(code: int, name: str, remedy: str) -> None:
    with pytest.raises(NvmlError) as refused, nvml.session(library(Init=refuse(code))):
        pytest.fail("there is no session")
    assert (refused.value.code, remedy in refused.value.remedy) == (name, True)


def test_a_session_ends_with_a_shutdown_even_after_an_error() -> None:
    calls: list[str] = []
    found = library(Init=lambda: calls.append("init"), Shutdown=lambda: calls.append("shutdown"))
    with pytest.raises(KeyError), nvml.session(found):
        raise KeyError
    assert calls == ["init", "shutdown"]


def test_a_shutdown_that_fails_hides_nothing() -> None:
    with nvml.session(library(Shutdown=refuse(pynvml.NVML_ERROR_UNKNOWN), DeviceGetCount=2)) as opened:
        assert opened.ask("DeviceGetCount") == 2


def test_without_bindings_the_error_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "pynvml", None)
    with pytest.raises(GroundworkError, match="no pynvml") as refused, nvml.session():
        pytest.fail("there is no session")
    assert "nvidia-ml-py" in refused.value.remedy


def test_what_changes_a_gpu_must_be_supported() -> None:
    opened = Nvml(library(DeviceSetMigMode=refuse(pynvml.NVML_ERROR_NOT_SUPPORTED)))
    with pytest.raises(NvmlError) as refused:
        opened.change("DeviceSetMigMode", "handle", 1)
    assert refused.value.code == "NotSupported"
    assert Nvml(library(DeviceSetMigMode=0)).change("DeviceSetMigMode", "handle", 1) == 0


def test_an_array_holds_as_many_as_nvml_counts() -> None:
    def placements(_handle: str, _profile: int, found: Any, count: Any) -> int:
        assert count._obj.value == 4
        for number in range(3):
            found[number].start = number
        count._obj.value = 3
        return 0

    given = library(DeviceGetGpuInstancePossiblePlacements=placements)
    given.c_nvmlGpuInstancePlacement_t = pynvml.c_nvmlGpuInstancePlacement_t
    ask = ("DeviceGetGpuInstancePossiblePlacements", "c_nvmlGpuInstancePlacement_t", 4, "handle", 19)
    assert [place.start for place in Nvml(given).array(*ask)] == [0, 1, 2]
    given.nvmlDeviceGetGpuInstancePossiblePlacements = refuse(pynvml.NVML_ERROR_NOT_SUPPORTED)
    assert Nvml(given).array(*ask) == []


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_NO_PERMISSION, pynvml.NVML_ERROR_INVALID_ARGUMENT])
def test_a_hint_that_is_refused_is_none(code: int) -> None:
    assert Nvml(library(DeviceGetBoardId=refuse(code))).hint("DeviceGetBoardId", "handle") is None


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_UNKNOWN, pynvml.NVML_ERROR_TIMEOUT])
def test_a_hint_hides_no_ill_gpu(code: int) -> None:
    with pytest.raises(NvmlError):
        Nvml(library(DeviceGetBoardId=refuse(code))).hint("DeviceGetBoardId", "handle")


def test_fields_are_asked_at_once_and_told_by_their_type() -> None:
    asked: list[Any] = []

    def call(_handle: object, fields: list[tuple[int, int]]) -> Any:
        asked.append(fields)
        return field_values({193: -8, (164, 1): 26562})(_handle, fields)

    found = Nvml(library(DeviceGetFieldValues=call)).fields("handle", [(193, 0), (164, 1), (164, 2)])
    assert (found, len(asked)) == ([-8, 26562, None], 1)


def test_fields_that_the_bindings_do_not_know_are_none() -> None:
    known = Nvml(library(DeviceGetFieldValues=field_values({82: 40})))
    assert known.named_fields("handle", ["SOMETHING_NEW", "MEMORY_TEMP"]) == [None, 40]
    assert Nvml(library()).named_fields("handle", ["MEMORY_TEMP"]) == [None]


def test_codes_have_names() -> None:
    opened = Nvml(library())
    assert (opened.word(0), opened.word(pynvml.NVML_ERROR_GPU_IS_LOST)) == ("Success", "GpuIsLost")
