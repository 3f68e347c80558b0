"""What NVIDIA's own programs ask the double of NVML: each is run and traced, and no function answers that nobody wrote.

A stub (library/stubs.py) says NOT_SUPPORTED to everything; a consumer that comes to rest on a new one may quietly do
less here than on a real host. There is no kubelet and no loaded module: the device plugin and, where a GPU is cut, the
container toolkit go as far as they do without; a lab's hosts have both.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lab import packages, programs
from lab.doubles.nvidia import hardware
from tests.contract.doubles.nvidia_host import Host, needs_compiler, needs_root

VERSION = packages.driver_versions()[0]
PLUGIN = programs.directory("nvidia-device-plugin")
TOOLKIT = programs.directory("nvidia-container-toolkit")
pytestmark = [
    needs_compiler,
    needs_root,
    pytest.mark.skipif(
        not (PLUGIN.exists() and TOOLKIT.exists()), reason="NVIDIA's programs are not built here: script/lab build"
    ),
]
KNOWN_STUBS = {"nvmlDeviceGetFanSpeed", "nvmlDeviceGetDriverModel_v2", "nvmlDeviceGetProcessUtilization"}

MIG = """
nvmlInit(); d = nvmlDeviceGetHandleByIndex(0); nvmlDeviceSetMigMode(d, 1)
for profile in (9, 19):
    instance = nvmlDeviceCreateGpuInstance(d, profile)
    for number in range(NVML_COMPUTE_INSTANCE_PROFILE_COUNT):
        info = attempt(nvmlGpuInstanceGetComputeInstanceProfileInfo, instance, number, 0)
        if not isinstance(info, str) and info.sliceCount == {9: 3, 19: 1}[profile]:
            nvmlGpuInstanceCreateComputeInstance(instance, number)
show(0)
"""
MODELS = ["A100-40GB", "H100-80GB", "B200", "L40S", "T4"]


class Consumer:
    """A host's driver root, and a program of NVIDIA's that is run on it."""

    def __init__(self, host: Host, folder: Path, cut: bool) -> None:
        self.root, self.trace, self.cut = folder / "root", folder / "trace", cut
        libraries = self.root / "usr/lib/x86_64-linux-gnu"
        libraries.mkdir(parents=True)
        (self.root / "dev").mkdir()
        (libraries / f"libnvidia-ml.so.{VERSION}").write_bytes((host.driver / "libnvidia-ml.so.1").read_bytes())
        (libraries / "libnvidia-ml.so.1").symlink_to(f"libnvidia-ml.so.{VERSION}")
        for name, minor in {"nvidia0": 0, "nvidia1": 1, "nvidiactl": 255}.items():
            os.mknod(self.root / "dev" / name, 0o020666, os.makedev(195, minor))
        state = {"NVML_DOUBLE_STATE": str(host.etc / hardware.STATE), "NVML_DOUBLE_DEV": ""}
        self.environment = {**state, "NVML_DOUBLE_TRACE": str(self.trace), "LD_LIBRARY_PATH": str(libraries)}

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **self.environment}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def run_until(self, said: str, *command: str | Path) -> None:
        """For a program that does not end: it is ended when it says so."""
        environment = {**os.environ, **self.environment}
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as started:
            assert started.stderr is not None
            deadline = time.monotonic() + 60
            lines: Sequence[str] = []
            for line in started.stderr:
                lines = [*lines, line]
                if said in line or time.monotonic() > deadline:
                    break
            started.send_signal(signal.SIGTERM)
        assert any(said in line for line in lines), "".join(lines)

    def asked(self) -> list[list[str]]:
        """Function, code and perhaps the word stub of each call."""
        return [line.split() for line in self.trace.read_text().splitlines()]


@pytest.fixture(params=MODELS)
def consumer(request: pytest.FixtureRequest, plugged: Callable[..., Host], tmp_path: Path) -> Consumer:
    """On a host of each model; what can be cut is cut, on its first GPU."""
    host, cut = plugged(request.param, 2), request.param not in {"L40S", "T4"}
    if cut:
        host.ask(MIG)
    return Consumer(host, tmp_path, cut)


def assert_answered(consumer: Consumer, *functions: str) -> None:
    asked = consumer.asked()
    assert {call[0] for call in asked} >= set(functions)
    assert {call[0] for call in asked if call[-1] == "stub"} <= KNOWN_STUBS
    unexpected = {tuple(call[:2]) for call in asked if call[1] not in {"0", "3", "6"}}
    assert unexpected == set(), "neither success, nor NOT_SUPPORTED of this model, nor NOT_FOUND of a free place"


def test_feature_discovery(consumer: Consumer, tmp_path: Path) -> None:
    options = ("--use-node-feature-api=false", "--oneshot", "--no-timestamp", "--mig-strategy=mixed")
    done = consumer.run(PLUGIN / "gpu-feature-discovery", *options, f"--output-file={tmp_path / 'labels'}")
    assert done.returncode == 0, done.stderr
    labels = dict(line.split("=", 1) for line in (tmp_path / "labels").read_text().splitlines())
    assert labels["nvidia.com/gpu.product"].startswith(("NVIDIA-", "Tesla-"))
    assert "nvidia.com/gpu.clique" not in labels  # one host is no cluster of NVLink
    assert_answered(consumer, "nvmlDeviceGetCudaComputeCapability", "nvmlDeviceGetMigMode")


def test_container_toolkit(consumer: Consumer, tmp_path: Path) -> None:
    options = ("--mode=nvml", f"--driver-root={consumer.root}", f"--output={tmp_path / 'cdi.yaml'}")
    done = consumer.run(TOOLKIT / "nvidia-ctk", "cdi", "generate", *options)
    if consumer.cut:  # where MIG's nodes are is read in /proc
        assert "mig" in done.stderr.lower(), done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert "/dev/nvidia1" in (tmp_path / "cdi.yaml").read_text()
    assert_answered(consumer, "nvmlDeviceGetUUID", "nvmlDeviceGetMigMode", "nvmlDeviceGetMinorNumber")


def test_device_plugin(consumer: Consumer) -> None:
    command = (PLUGIN / "nvidia-device-plugin", "--mig-strategy=mixed", "--device-discovery-strategy=nvml")
    said = "missing MIG GPU instance capability path" if consumer.cut else "Retrying in"
    consumer.run_until(said, *command, f"--kubelet-socket={consumer.root / 'no-kubelet.sock'}")
    assert_answered(consumer, "nvmlDeviceGetCount_v2", "nvmlDeviceGetMigMode", "nvmlDeviceGetUUID")


def test_a_stub_is_told_apart(host: Host, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    program = "from pynvml import *; nvmlInit(); d = nvmlDeviceGetHandleByIndex(0); "
    program += "import contextlib\nwith contextlib.suppress(NVMLError): nvmlDeviceGetFanSpeed(d)"
    environment = {**host.environment(), "NVML_DOUBLE_TRACE": str(trace)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=30)
    assert trace.read_text().splitlines()[-1].split() == ["nvmlDeviceGetFanSpeed", "3", "stub"]
