"""CUDA is started in a child, and its codes have words."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.groundwork.gpu.verify import cuda


def library(code: int, devices: int = 0, count_code: int = 0) -> Callable[[str], Any]:
    """A libcuda with these answers."""

    def count(pointer: Any) -> int:
        pointer._obj.value = devices
        return count_code

    assert ctypes.sizeof(ctypes.c_int) == 4
    return lambda _name: SimpleNamespace(cuInit=lambda flags: code if flags == 0 else 1, cuDeviceGetCount=count)


def test_a_host_that_computes_counts_its_devices() -> None:
    assert cuda.initialise(5, library(0, 8)) == cuda.Cuda(0, 8)


@pytest.mark.parametrize(
    ("code", "words", "remedy"),
    [
        (3, "not initialised", "dmesg"),
        (100, "no device", "device nodes"),
        (802, "system not yet ready", "nvidia-fabricmanager"),
        (803, "different versions", "reboot"),
        (804, "forward compatibility", "cuda-compat"),
        (999, "unknown error", "nvidia-uvm"),
        (719, "CUresult", "dmesg"),
    ],
)
def test_codes_say_what_is_wrong_and_what_to_do(code: int, words: str, remedy: str) -> None:
    found = cuda.initialise(5, library(code))
    assert (found.code, found.devices) == (code, 0)
    assert found.reason.startswith(f"error {code}: ")
    assert words in found.reason
    assert remedy in found.remedy


def test_a_count_that_fails_is_its_own_code() -> None:
    assert cuda.initialise(5, library(0, 0, 999)).code == 999


def test_without_the_library_it_says_so() -> None:
    def load(_name: str) -> None:
        raise OSError("libcuda.so.1: cannot open shared object file")

    found = cuda.initialise(5, load)
    assert found.code is None
    assert "cannot open" in found.reason
    assert "gpu_driver" in found.remedy


def test_a_call_that_hangs_ends_at_its_deadline() -> None:
    def load(_name: str) -> None:
        while True:
            signal.pause()

    found = cuda.initialise(0.2, load)
    assert (found.code, found.devices) == (None, 0)
    assert found.reason == "No answer in time from CUDA (cuInit)"


def test_devices_that_the_callers_environment_hides_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cuda.HIDDEN_BY, "")

    def load(_name: str) -> Any:
        return library(0, 2 if cuda.HIDDEN_BY not in os.environ else 0)("")

    assert cuda.initialise(5, load).devices == 2
    assert os.environ[cuda.HIDDEN_BY] == "", "the caller's own environment is left alone"
