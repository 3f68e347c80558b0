"""Facts of a real GPU, beside what NVIDIA's own nvidia-smi says."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.groundwork.gpu.observe import observe

from tests.contract.gpu.smi_xml import compared, differences, gpus

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not (shutil.which("nvidia-smi") and Path("/proc/driver/nvidia/version").exists()),
        reason="there is no NVIDIA GPU here: needs nvidia-smi and a loaded driver",
    ),
]


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(observe(60).to_dict()))
    assert found["nvml"]["available"], found["nvml"]
    return found


@pytest.fixture(scope="module")
def smi() -> str:
    return subprocess.run(["nvidia-smi", "-q", "-x"], capture_output=True, text=True, check=True, timeout=120).stdout


def test_every_gpu_agrees_field_by_field(facts: dict[str, Any], smi: str) -> None:
    told = gpus(smi)
    assert [gpu["uuid"] for gpu in facts["gpus"]] == list(told)
    for gpu in facts["gpus"]:
        assert gpu["error"] is None
        assert compared(told[gpu["uuid"]]) >= 40, "nvidia-smi's XML has other elements by now"
        assert list(differences(told[gpu["uuid"]], gpu)) == []


def test_mig_devices_agree(facts: dict[str, Any], smi: str) -> None:
    for gpu in facts["gpus"]:
        listed = gpus(smi)[gpu["uuid"]].findall("mig_devices/mig_device")
        told = {
            tuple(int(one.findtext(key) or -1) for key in ("gpu_instance_id", "compute_instance_id")) for one in listed
        }
        ours = {(one["gpu_instance_id"], one["compute_instance_id"]) for one in gpu["mig"]["devices"]}
        assert ours == told


def test_links_agree(facts: dict[str, Any]) -> None:
    for gpu in facts["gpus"]:
        command = ["nvidia-smi", "nvlink", "-s", "-i", gpu["uuid"]]
        said = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
        active = sum("GB/s" in line for line in said.splitlines())
        assert sum(link["active"] for link in gpu["nvlinks"]) == active
