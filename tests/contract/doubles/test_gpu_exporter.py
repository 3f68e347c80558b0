"""The GPU exporter over the double of NVML: the program that pods of the lab run, and the library that they find."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import packages, paths
from lab.doubles.nvidia import hardware

pytestmark = pytest.mark.skipif(
    not (shutil.which("make") and shutil.which("cc")),
    reason="the double is written in C: make and a compiler are needed",
)
PROGRAM = paths.PROJECT / "images/gpu-exporter/gpu_exporter.py"
Ask = Callable[[], dict[str, Any]]


class Host:
    """A host with two GPUs, and readers of the exporter for them."""

    def __init__(self, folder: Path) -> None:
        driver = packages.driver_versions()[0]
        self.etc = folder / "etc"
        hardware.create(self.etc, "n2", "H100-80GB", 2)
        hardware.put_host(self.etc, driver=driver)
        state = {"NVML_DOUBLE_STATE": str(self.etc / hardware.STATE), "NVML_DOUBLE_DEV": ""}  # all is visible
        self.driver = packages.driver_directory(driver)
        self.environment = {**os.environ, **state, "LD_LIBRARY_PATH": str(self.driver)}

    def reader(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(PROGRAM), *words]
        return subprocess.Popen(
            command, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def smi(self, *words: str) -> None:
        subprocess.run([self.driver / "nvidia-smi", *words], env=self.environment, check=True, timeout=30)


def ask(reader: subprocess.Popen[str]) -> dict[str, Any]:
    assert reader.stdin
    assert reader.stdout
    reader.stdin.write("\n")
    answer: dict[str, Any] = json.loads(reader.stdout.readline())
    return answer


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_gpu_is_measured(host: Host) -> None:
    with host.reader("count") as counter, host.reader("read", "1") as reader:
        assert ask(counter) == {"count": 2, "error": ""}
        answer = ask(reader)
        [gpu] = answer["entities"]
        assert answer["error"] == ""
        assert answer["identity"]["UUID"] == hardware.uuids(host.etc)[1]
        assert answer["identity"]["pci_bus_id"] == "00000000:43:00.0"
        assert gpu["uuids"] == hardware.uuids(host.etc)[1:]
        assert gpu["values"]["DCGM_FI_DEV_FB_TOTAL"] == 81559
        assert {"DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_POWER_USAGE"} <= set(gpu["values"])
        hardware.put(host.etc, 1, temperature=91)
        assert ask(reader)["entities"][0]["values"]["DCGM_FI_DEV_GPU_TEMP"] == 91


def test_an_xid_is_told_once(host: Host) -> None:
    with host.reader("read", "0") as reader, host.reader("read", "1") as other:
        assert ask(reader)["xids"] == ask(other)["xids"] == []
        hardware.xid(host.etc, 0, 48)
        assert ask(reader)["xids"] == [48]
        assert ask(reader)["xids"] == ask(other)["xids"] == []


def test_a_lost_gpu_says_so_and_comes_back(host: Host) -> None:
    with host.reader("read", "0") as reader, host.reader("read", "1") as other:
        ask(reader)
        hardware.lose(host.etc, 0)
        assert ask(reader)["error"] == "GpuIsLost"
        assert ask(reader)["error"] == "GpuIsLost", "also after NVML was begun anew"
        assert ask(other)["error"] == ""
        hardware.clear(host.etc)
        assert ask(reader)["error"] == ""


def test_mig_instances_have_their_own_memory(host: Host) -> None:
    host.smi("-i", "0", "-mig", "1")
    host.smi("mig", "-i", "0", "-cgi", "9,19", "-C")
    with host.reader("read", "0") as reader:
        gpu, *instances = ask(reader)["entities"]
        assert gpu["uuids"] == []
        assert "DCGM_FI_DEV_FB_USED" not in gpu["values"]
        assert "DCGM_FI_DEV_POWER_USAGE" in gpu["values"]
        assert [each["labels"]["GPU_I_PROFILE"] for each in instances] == ["3g.40gb", "1g.10gb"]
        assert all(each["uuids"][0].startswith("MIG-") for each in instances)
        assert instances[1]["values"]["DCGM_FI_DEV_FB_TOTAL"] == 9984
