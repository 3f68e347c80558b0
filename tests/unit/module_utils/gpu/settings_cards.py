"""GPUs for tests of settings: cards as they are observed, and a library whose GPUs keep what they are told.

Ranges are those that `nvidia-smi -q` prints for an H100 SXM; of its clocks some stand for all.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
from ansible.module_utils.groundwork.gpu.model import Process
from ansible.module_utils.groundwork.gpu.settings.model import FREE, Card, Settings

from tests.unit.module_utils.fakes import gpu_library

H100 = "NVIDIA H100 80GB HBM3"
GRAPHICS = (1980, 1965, 1755, 1410, 345, 210)
CLOCKS = ((2619, GRAPHICS), (1593, GRAPHICS[2:]))
IDLE = Settings(True, 700.0, FREE, FREE, "default", True)
TRAINING = Process(4711, "compute", "python3", 512)


def card(index: int = 0, **fields: Any) -> Card:
    """An H100 with its defaults, idle; what Settings knows by name goes there."""
    names = {one.name for one in dataclasses.fields(Settings)}
    settings = dataclasses.replace(IDLE, **{name: value for name, value in fields.items() if name in names})
    told: dict[str, Any] = {
        "uuid": f"GPU-{index}",
        "name": H100,
        "ecc_pending": settings.ecc,
        "ecc_default": True,
        "power_min_watts": 200.0,
        "power_max_watts": 700.0,
        "power_default_watts": 700.0,
        "clocks": CLOCKS,
        "architecture": 9,
    }
    own = {name: value for name, value in fields.items() if name not in names}
    return Card(index=index, settings=settings, **{**told, **own})


class Gpus:
    """GPUs behind a library; what they are told lies in a file, since each call is made in a child process."""

    def __init__(self, folder: Path, count: int = 2) -> None:
        self.file = folder / "gpus.json"
        fresh = {"persistence": 1, "power": 700000, "compute": 0, "ecc": [1, 1], "gpu_lock": None, "memory_lock": None}
        self.file.write_text(json.dumps({"calls": [], "gpus": [fresh] * count}))

    @property
    def calls(self) -> list[list[Any]]:
        """The changes that were asked for: [function, GPU, values]."""
        found: list[list[Any]] = json.loads(self.file.read_text())["calls"]
        return found

    def __getitem__(self, index: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.file.read_text())["gpus"][index]
        return found

    def set(self, index: int, **values: Any) -> None:
        with self._state() as state:
            state["gpus"][index].update(values)

    def reboot(self) -> None:
        """The driver forgets all but ECC, whose change comes now."""
        with self._state() as state:
            for gpu in state["gpus"]:
                gpu.update(power=700000, compute=0, gpu_lock=None, memory_lock=None, ecc=[gpu["ecc"][1]] * 2)

    def library(self, **functions: Any) -> SimpleNamespace:
        """A pynvml; functions given replace its own."""
        changes: Mapping[str, str] = {
            "SetPersistenceMode": "persistence",
            "SetPowerManagementLimit": "power",
            "SetComputeMode": "compute",
            "SetGpuLockedClocks": "gpu_lock",
            "ResetGpuLockedClocks": "gpu_lock",
            "SetMemoryLockedClocks": "memory_lock",
            "ResetMemoryLockedClocks": "memory_lock",
        }
        made: dict[str, Any] = {
            "DeviceGetCount": len(json.loads(self.file.read_text())["gpus"]),
            "DeviceGetHandleByIndex": lambda index: index,
            "DeviceGetHandleByUUID": lambda uuid: int(uuid.removeprefix("GPU-")),
            "DeviceGetUUID": lambda handle: f"GPU-{handle}",
            "DeviceGetPersistenceMode": lambda handle: self[handle]["persistence"],
            "DeviceGetPowerManagementLimit": lambda handle: self[handle]["power"],
            "DeviceGetComputeMode": lambda handle: self[handle]["compute"],
            "DeviceGetEccMode": lambda handle: self[handle]["ecc"],
            "DeviceGetDefaultEccMode": [1],
            "DeviceGetSupportedMemoryClocks": [clock for clock, _ in CLOCKS],
            "DeviceGetSupportedGraphicsClocks": lambda _handle, clock: list(dict(CLOCKS)[clock]),
            "DeviceSetEccMode": self._set_ecc,
            **{f"Device{name}": self._changes(name, field) for name, field in changes.items()},
        }
        return gpu_library(**{**made, **functions})

    def _changes(self, name: str, field: str) -> Any:
        def change(handle: int, *values: int) -> None:
            with self._state() as state:
                state["calls"].append([name, handle, *values])
                state["gpus"][handle][field] = (list(values) or None) if "Clocks" in name else values[0]

        return change

    def _set_ecc(self, handle: int, mode: int) -> None:
        with self._state() as state:
            state["calls"].append(["SetEccMode", handle, mode])
            state["gpus"][handle]["ecc"][1] = mode

    @contextlib.contextmanager
    def _state(self) -> Iterator[dict[str, Any]]:
        """The children of several GPUs change it at once."""
        with self.file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = json.loads(self.file.read_text())
            yield state
            fresh = self.file.with_suffix(".new")
            fresh.write_text(json.dumps(state))
            fresh.replace(self.file)


def only_on(index: int, code: int, other: Any = None) -> Any:
    """A function that one GPU refuses; the others do `other`."""

    def call(handle: int, *values: Any) -> Any:
        if handle == index:
            raise pynvml.NVMLError(code)
        return other(handle, *values) if callable(other) else other

    return call
