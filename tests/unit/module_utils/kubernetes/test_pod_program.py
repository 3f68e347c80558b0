"""The program of the pods that prove a site answers in JSON, and its status tells whether there was an answer."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.groundwork.kubernetes import pod_program as verify

from lab.run import wait_for

PROGRAM = Path(verify.__file__)


class NVMLError(Exception):
    pass


class NotFoundError(NVMLError):
    pass


class NotSupportedError(NVMLError):
    pass


def nvml(mig: dict[str, list[str] | None]) -> Any:
    """An NVML with these GPUs; a list of MIG devices where MIG is enabled, None where a GPU knows no MIG."""

    def mode(gpu: str) -> tuple[int, int]:
        if mig[gpu] is None:
            raise NotSupportedError
        return (1, 1) if mig[gpu] else (0, 0)

    def slice_of(gpu: str, index: int) -> str:
        slices = mig[gpu] or []
        if index >= len(slices):
            raise NotFoundError
        return slices[index]

    return SimpleNamespace(
        NVML_DEVICE_MIG_ENABLE=1,
        NVMLError=NVMLError,
        NVMLError_NotFound=NotFoundError,
        NVMLError_NotSupported=NotSupportedError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: len(mig),
        nvmlDeviceGetHandleByIndex=lambda index: list(mig)[index],
        nvmlDeviceGetMigMode=mode,
        nvmlDeviceGetMaxMigDeviceCount=lambda _gpu: 7,
        nvmlDeviceGetMigDeviceHandleByIndex=slice_of,
        nvmlDeviceGetUUID=lambda handle: handle,
        nvmlDeviceGetName=lambda _handle: "NVIDIA H100 80GB HBM3",
        nvmlDeviceGetMemoryInfo=lambda _handle: SimpleNamespace(total=81559 << 20),
    )


@pytest.mark.parametrize(
    ("mig", "devices"),
    [
        ({"GPU-a": []}, [("GPU-a", None)]),
        ({"GPU-old": None}, [("GPU-old", None)]),
        ({"GPU-a": ["MIG-1", "MIG-2"], "GPU-b": []}, [("MIG-1", "GPU-a"), ("MIG-2", "GPU-a"), ("GPU-b", None)]),
        ({}, []),
    ],
)
def test_gpus_are_what_a_program_could_use(
    mig: dict[str, list[str] | None], devices: list[tuple[str, str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml(mig))
    found = verify.gpus()["gpus"]
    assert [(each["uuid"], each["parent"]) for each in found] == devices
    assert all(each["memory_mib"] == 81559 for each in found)


def test_an_error_of_nvml_is_told_by_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    double = nvml({})

    def fail() -> None:
        raise NotSupportedError("no")

    double.nvmlInit = fail
    monkeypatch.setitem(sys.modules, "pynvml", double)
    assert verify.main(["gpus"]) == 1
    assert json.loads(capsys.readouterr().out) == {"error": "NotSupportedError: no"}


def test_what_stands_in_the_way_is_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert verify.main(["fetch", f"http://127.0.0.1:{port}/"]) == 1
    assert "refused" in json.loads(capsys.readouterr().out)["error"]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = str(tmp_path / "word")
    assert verify.write(file, "kept") == {"written": 4}
    assert verify.read(file) == {"text": "kept"}


def test_attributes_are_kept_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int) -> None:
        def fail(*_words: object) -> None:
            raise OSError(number, "no")

        monkeypatch.setattr(os, "setxattr", fail)

    kept: dict[str, bytes] = {}
    monkeypatch.setattr(os, "setxattr", lambda _file, name, value: kept.update({name: value}))
    monkeypatch.setattr(os, "getxattr", lambda _file, name: kept[name])
    assert verify.attributes(str(tmp_path)) == {"attributes": True}
    refuse(errno.ENOTSUP)
    assert verify.attributes(str(tmp_path)) == {"attributes": False}
    refuse(errno.ENOSPC)
    with pytest.raises(OSError, match="no"):
        verify.attributes(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_resolve_lists_addresses() -> None:
    assert "127.0.0.1" in verify.resolve("localhost")["addresses"]


def test_a_server_tells_who_it_is_and_ends_by_sigterm() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {"NODE_NAME": "n2", "PATH": "/usr/bin:/bin"}
    with subprocess.Popen([sys.executable, PROGRAM, "serve", str(port)], env=environment) as server:
        answer = fetched(f"http://127.0.0.1:{port}/")
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=10) == 0
    assert json.loads(answer) == {"hostname": socket.gethostname(), "node": "n2"}


def test_sleep_ends_by_sigterm() -> None:
    with subprocess.Popen([sys.executable, PROGRAM, "sleep"]) as sleeper:
        await_handler(sleeper.pid)
        sleeper.send_signal(signal.SIGTERM)
        assert sleeper.wait(timeout=10) == 0


def test_a_wrong_verb_is_refused() -> None:
    with pytest.raises(SystemExit) as caught:
        verify.main(["gpu"])
    assert caught.value.code == 2


def fetched(url: str, seconds: float = 20) -> str:
    answer: list[str] = []

    def silent() -> str:
        try:
            answer.append(verify.fetch(url)["body"])
        except OSError as error:
            return f"{url} does not answer: {error}"
        return ""

    wait_for(silent, seconds, "look at what the server says")
    return answer[0]


def await_handler(pid: int, seconds: float = 20) -> None:
    """Wait until a process handles SIGTERM, as /proc/PID/status says."""
    bit = 1 << (signal.SIGTERM - 1)
    wait_for(
        lambda: "" if bit & int(status_field(pid, "SigCgt"), 16) else "SIGTERM is not handled",
        seconds,
        "look at main()",
    )


def status_field(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))
