"""Module nvidia_gpu_info's worker on the double of NVML, through NVIDIA's own bindings."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from lab import packages, paths
from lab.doubles.nvidia import hardware, pci
from tests.contract.doubles.nvidia_host import Host, needs_compiler, needs_root

pytestmark = needs_compiler
Plug = Callable[..., Host]

WORKER = f"""
import sys, json
import ansible.module_utils
ansible.module_utils.__path__.append({str(paths.PROJECT / "module_utils")!r})
from ansible.module_utils.groundwork.gpu.observe import observe
json.dump(observe(float(sys.argv[1])).to_dict(), sys.stdout)
"""


def observe(host: Host, seconds: float = 20) -> dict[str, Any]:
    command = [sys.executable, "-c", WORKER, str(seconds)]
    done = subprocess.run(command, env=host.environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("model", "links", "fabric", "banks", "pages"),
    [
        ("A100-40GB", 12, None, 640, False),
        ("H200-141GB", 18, "completed", 3072, False),
        ("B200", 18, "completed", None, False),
        ("L40S", 0, None, 192, False),
        ("T4", 0, None, None, True),
    ],
)
def test_every_model_tells_what_it_has(
    plugged: Plug, model: str, links: int, fabric: str | None, banks: int | None, pages: bool
) -> None:
    found = observe(plugged(model, 2))
    assert found["nvml"] == {"available": True, "reason": None, "remedy": None}
    assert [gpu["error"] for gpu in found["gpus"]] == [None, None]
    gpu = found["gpus"][0]
    assert gpu["name"] == pci.MODELS[model].name
    assert [link["active"] for link in gpu["nvlinks"]] == [True] * links
    assert {(link["remote_kind"], link["remote_bus_id"] is None) for link in gpu["nvlinks"]} <= {("switch", False)}
    assert (gpu["fabric"] and gpu["fabric"]["state"]) == fabric
    assert (gpu["ecc"]["remap_availability"] and gpu["ecc"]["remap_availability"]["max"]) == banks
    assert (gpu["ecc"]["retired_pages"] is not None) == pages
    assert (gpu["temperature"]["margin_celsius"] is None) == (gpu["temperature"]["slowdown_celsius"] is not None)
    assert found["topology"] == [{"gpus": [0, 1], "path": "NODE", "nvlinks": links}]
    assert gpu["gsp_firmware_version"] == packages.driver_versions()[0]


FAULTS: dict[str, tuple[Callable[[Host], object], Callable[[dict[str, Any]], Any], Any]] = {
    "ECC": (lambda host: hardware.corrupt(host.etc, 0, 3), lambda gpu: gpu["ecc"]["dram_uncorrected_volatile"], 3),
    "remap": (lambda host: hardware.remap(host.etc, 0, "pending"), lambda gpu: gpu["recovery_action"], "reset"),
    "throttle": (
        lambda host: hardware.throttle(host.etc, 0, "hw_thermal_slowdown"),
        lambda gpu: gpu["clocks"]["reasons"],
        ["hw_thermal_slowdown"],
    ),
    "NVLink": (
        lambda host: hardware.put(host.etc, 0, links_down="3,7"),
        lambda gpu: [link["index"] for link in gpu["nvlinks"] if not link["active"]],
        [3, 7],
    ),
    "PCIe": (
        lambda host: hardware.narrow(host.etc, 0, 3, 8),
        lambda gpu: [gpu["pci"][key] for key in ("link_generation", "link_width", "link_generation_max")],
        [3, 8, 5],
    ),
    "fabric": (
        lambda host: hardware.put(host.etc, 0, fabric_status=23),
        lambda gpu: [gpu["fabric"]["state"], gpu["fabric"]["status"]],
        ["completed", "InsufficientResources"],
    ),
    "power": (
        lambda host: hardware.put(host.etc, 0, power_limit_mw=350500),
        lambda gpu: gpu["power"]["limit_requested_watts"],
        350.5,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_breaks_is_told(host: Host, fault: str) -> None:
    provoke, look, wanted = FAULTS[fault]
    provoke(host)
    found = observe(host)["gpus"][0]
    assert (found["error"], look(found)) == (None, wanted)


def test_a_lost_and_a_hanging_gpu_hide_no_other(plugged: Plug) -> None:
    host = plugged("H100-80GB", 4)
    hardware.lose(host.etc, 1)
    hardware.hang(host.etc, 2)
    began = time.monotonic()
    found = observe(host, 4)
    assert [gpu["error"] and gpu["error"]["code"] for gpu in found["gpus"]] == [None, "GpuIsLost", "Timeout", None]
    assert found["topology"] == [{"gpus": [0, 3], "path": "NODE", "nvlinks": 18}]
    assert time.monotonic() - began < 30


def test_a_driver_of_another_version_says_so(host: Host) -> None:
    hardware.claim(host.etc, "580.95.05")
    found = observe(host)
    assert found["nvml"]["available"] is False
    assert "mismatch" in found["nvml"]["reason"]


@needs_root
def test_mig_devices_have_their_placements(host: Host) -> None:
    host.show(*(f"nvidia-caps/nvidia-cap{minor}" for minor in range(3, 138)))
    assert host.smi("-mig", "1", "-i", "0")[0] == 0
    assert host.smi("mig", "-cgi", "9,1g.10gb", "-C", "-i", "0")[0] == 0
    found = observe(host)["gpus"]
    told = [(device["profile"], device["placement"]) for device in found[0]["mig"]["devices"]]
    assert told == [("3g.40gb", "4:4"), ("1g.10gb", "0:1")]
    assert {link["active"] for link in found[0]["nvlinks"]} == {False}


def test_the_worker_reads_what_the_bare_script_reads(host: Host) -> None:
    """The measure of script/benchmark asks the same questions, or it would be no measure."""
    asked: list[set[str]] = []
    for command in (
        [sys.executable, "-c", WORKER, "20"],
        [sys.executable, str(paths.PROJECT / "tests/bare_gpu_info.py")],
    ):
        trace = host.etc / f"trace.{len(asked)}"
        environment = {**host.environment(), "NVML_DOUBLE_TRACE": str(trace)}
        subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60)
        asked.append({line.split()[0] for line in trace.read_text().splitlines()})
    assert asked[0] - asked[1] == set()
    assert asked[1] - asked[0] <= {"nvmlShutdown"}  # the child is ended when the last part has come
