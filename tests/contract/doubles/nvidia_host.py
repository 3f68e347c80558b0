"""A host with the double of NVML, asked as consumers ask it: through NVIDIA's own pynvml, and through nvidia-smi."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab import packages
from lab.doubles.nvidia import hardware

needs_compiler = pytest.mark.skipif(
    not (shutil.which("make") and shutil.which("cc")),
    reason="the double is written in C: make and a compiler are needed",
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changing a GPU needs root, as with the real library")

# What a child process does before a test's own lines; a child, for the library keeps state for the life of a process.
PRELUDE = """
import ctypes, json
from pynvml import *
def attempt(call, *arguments):
    try:
        answer = call(*arguments)
    except NVMLError as error:
        return type(error).__name__.removeprefix("NVMLError_")
    return answer
def show(value):
    print(json.dumps(value, default=str))
"""


class Host:
    """A host's state, with the driver loaded, and a /dev of its own."""

    def __init__(self, folder: Path, driver: Path, model: str = "H100-80GB", count: int = 2, switches: int = 0) -> None:
        self.etc = folder / "etc"
        self.dev = folder / "dev"
        self.driver = driver
        hardware.create(self.etc, "n2", model, count, switches)
        hardware.put_host(self.etc, driver=packages.driver_versions()[0])
        self.dev.mkdir(parents=True)
        self.show("nvidiactl", *(f"nvidia{index}" for index in range(count)))

    def show(self, *nodes: str) -> None:
        """Put device nodes there; ordinary files do, since the double only looks whether they exist and open."""
        for node in nodes:
            (self.dev / node).parent.mkdir(exist_ok=True)
            (self.dev / node).touch()

    def environment(self) -> dict[str, str]:
        state = {"NVML_DOUBLE_STATE": str(self.etc / hardware.STATE), "NVML_DOUBLE_DEV": str(self.dev)}
        return {**os.environ, **state, "LD_LIBRARY_PATH": str(self.driver)}

    def ask(self, program: str) -> Any:
        """Run lines of Python against pynvml; the answer is what they `show`."""
        command = [sys.executable, "-c", f"{PRELUDE}\n{program}"]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def smi(self, *words: str) -> tuple[int, str]:
        command: list[str | Path] = [self.driver / "nvidia-smi", *words]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout
