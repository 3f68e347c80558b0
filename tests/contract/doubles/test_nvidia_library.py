"""The double of NVML, asked as consumers ask it: through NVIDIA's own pynvml, and through nvidia-smi."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import packages, paths
from lab.doubles.nvidia import hardware
from tests.contract.doubles.nvidia_host import Host, needs_compiler, needs_root

pytestmark = needs_compiler

INIT = "show(attempt(nvmlInit))"
NAMES = """
nvmlInit()
show([nvmlDeviceGetUUID(nvmlDeviceGetHandleByIndex(i)) for i in range(nvmlDeviceGetCount())])
"""


def test_gpus_are_listed_with_their_identity(host: Host) -> None:
    assert host.ask(NAMES) == hardware.uuids(host.etc)
    program = """
nvmlInit(); d = nvmlDeviceGetHandleByIndex(1); pci = nvmlDeviceGetPciInfo(d)
show([nvmlSystemGetDriverVersion(), nvmlDeviceGetName(d), nvmlDeviceGetMinorNumber(d), pci.busId,
      nvmlDeviceGetMemoryInfo(d).total >> 20, nvmlDeviceGetCudaComputeCapability(d), nvmlDeviceGetIrqNum(d),
      nvmlDeviceGetGspFirmwareMode(d), nvmlDeviceGetGpuMaxPcieLinkGeneration(d)])
"""
    wanted = [
        packages.driver_versions()[0],
        "NVIDIA H100 80GB HBM3",
        1,
        "00000000:43:00.0",
        81559,
        [9, 0],
        65,
        [1, 1],
        5,
    ]
    assert host.ask(program) == wanted


def test_device_nodes_say_what_is_visible(host: Host) -> None:
    """A container with one GPU's node sees that GPU alone, as number 0."""
    (host.dev / "nvidia0").unlink()
    assert host.ask(NAMES) == hardware.uuids(host.etc)[1:]


@pytest.mark.parametrize(
    ("break_it", "answer"),
    [
        (lambda host: hardware.put_host(host.etc, driver=""), "DriverNotLoaded"),
        (lambda host: (host.etc / hardware.STATE).unlink(), "DriverNotLoaded"),
        (lambda host: (host.dev / "nvidiactl").unlink(), "DriverNotLoaded"),
        (lambda host: hardware.put_host(host.etc, driver="580.95.05"), "LibRmVersionMismatch"),
        (lambda host: hardware.put_host(host.etc, fault="no_permission"), "NoPermission"),
    ],
)
def test_a_driver_that_does_not_work_says_why(host: Host, break_it: Callable[[Host], None], answer: str) -> None:
    break_it(host)
    assert host.ask(INIT) == answer


def test_a_lost_gpu_gives_no_handle_and_leaves_the_other_alone(host: Host) -> None:
    hardware.lose(host.etc, 0)
    program = """
nvmlInit(); show([attempt(nvmlDeviceGetHandleByIndex, 0), nvmlDeviceGetName(nvmlDeviceGetHandleByIndex(1))])
"""
    assert host.ask(program) == ["GpuIsLost", "NVIDIA H100 80GB HBM3"]


def test_a_gpu_that_is_lost_meanwhile_still_says_who_it_is(host: Host) -> None:
    program = f"""
import sys; sys.path.insert(0, {str(paths.PROJECT)!r})
from pathlib import Path
from lab.doubles.nvidia import hardware
nvmlInit(); d = nvmlDeviceGetHandleByIndex(0); hardware.lose(Path({str(host.etc)!r}), 0)
show([nvmlDeviceGetUUID(d), attempt(nvmlDeviceGetTemperature, d, NVML_TEMPERATURE_GPU)])
"""
    assert host.ask(program) == [hardware.uuids(host.etc)[0], "GpuIsLost"]


def test_a_hanging_gpu_answers_never_and_others_at_once(host: Host) -> None:
    hardware.hang(host.etc, 0)
    program = "nvmlInit(); show(nvmlDeviceGetTemperature(nvmlDeviceGetHandleByIndex(1), NVML_TEMPERATURE_GPU))"
    assert host.ask(program) == 31
    command: list[str | Path] = [host.driver / "nvidia-smi", "-i", "0", "--query-gpu=temperature.gpu", "--format=csv"]
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(command, env=host.environment(), capture_output=True, timeout=1)


def test_an_xid_reaches_who_waits(host: Host) -> None:
    program = f"""
import sys; sys.path.insert(0, {str(paths.PROJECT)!r})
from pathlib import Path
from lab.doubles.nvidia import hardware
nvmlInit(); events = nvmlEventSetCreate()
nvmlDeviceRegisterEvents(nvmlDeviceGetHandleByIndex(1), nvmlEventTypeXidCriticalError, events)
hardware.xid(Path({str(host.etc)!r}), 1, 48)
event = nvmlEventSetWait_v2(events, 5000)
show([event.eventData, nvmlDeviceGetIndex(event.device), attempt(nvmlEventSetWait_v2, events, 0)])
"""
    assert host.ask(program) == [48, 1, "Timeout"]


def test_one_function_can_fail_alone(host: Host) -> None:
    hardware.put(host.etc, 0, fail="nvmlDeviceGetPowerUsage:999")
    program = """
nvmlInit(); d = nvmlDeviceGetHandleByIndex(0)
show([attempt(nvmlDeviceGetPowerUsage, d), attempt(nvmlDeviceGetTemperature, d, NVML_TEMPERATURE_GPU)])
"""
    assert host.ask(program) == ["Unknown", 31]


def test_topology_is_the_numa_nodes_unless_a_pair_is_told(host: Host) -> None:
    program = """
nvmlInit(); a, b = (nvmlDeviceGetHandleByIndex(i) for i in range(2))
show([nvmlDeviceGetTopologyCommonAncestor(a, b), nvmlDeviceGetTopologyCommonAncestor(b, a)])
"""
    assert host.ask(program) == [40, 40]
    hardware.put(host.etc, 1, topology="0:10")
    assert host.ask(program) == [10, 10]


def test_every_function_of_the_header_is_there(driver: Path) -> None:
    """Programs in Go bind functions when they call them, and die where one is missing."""
    library = driver / "libnvidia-ml.so.1"
    symbols = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    header = (packages._headers() / "nvml.h").read_text()
    declared = set(re.findall(r"DECLDIR\s+(nvml\w+)\s*\(", header))
    assert len(declared) > 300
    assert declared - {line.split()[-1] for line in symbols.splitlines()} == set()


@needs_root
def test_mig_instances_are_made_by_one_process_and_seen_by_another(host: Host) -> None:
    host.show("nvidia-caps/nvidia-cap21", "nvidia-caps/nvidia-cap22", "nvidia-caps/nvidia-cap66")
    assert host.smi("-mig", "1", "-i", "0")[0] == 0
    assert host.smi("mig", "-cgi", "9,1g.10gb", "-C", "-i", "0")[0] == 0
    listed = [line.split()[:2] for line in host.smi("-L")[1].splitlines() if "MIG" in line]
    assert listed == [["MIG", "3g.40gb"]]  # the other's compute instance has no node here
    status, said = host.smi("mig", "-cgi", "0", "-i", "0")
    assert (status, said.strip().endswith("Insufficient Resources")) == (23, True)
    assert host.smi("mig", "-dci", "-i", "0")[0] == 0
    assert host.smi("mig", "-dgi", "-i", "0")[0] == 0
    assert host.smi("-mig", "0", "-i", "0")[0] == 0


@needs_root
def test_a_busy_gpu_keeps_its_mode_until_a_reset(host: Host) -> None:
    hardware.occupy(host.etc, 0, 4242, "python3", 1000)
    mode = ("--query-gpu=mig.mode.current,mig.mode.pending", "--format=csv,noheader", "-i", "0")
    assert "In use by another client" in host.smi("-mig", "1", "-i", "0")[1]
    assert host.smi(*mode)[1] == "Disabled, Enabled\n"
    assert host.smi("--gpu-reset", "-i", "0")[0] == 19
    hardware.vacate(host.etc, 0)
    assert host.smi("--gpu-reset", "-i", "0")[0] == 0
    assert host.smi(*mode)[1] == "Enabled, Enabled\n"


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        ({}, 0, "| NVIDIA-SMI 580."),
        ({"driver": ""}, 9, "couldn't communicate with the NVIDIA driver"),
        (
            {"driver": "580.95.05"},
            18,
            "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: ",
        ),
        ({"fault": "unknown"}, 255, "Failed to initialize NVML: Unknown Error"),
    ],
)
def test_nvidia_smi_fails_as_the_real_one(host: Host, fault: dict[str, str], status: int, said: str) -> None:
    hardware.put_host(host.etc, **fault)
    code, output = host.smi()
    assert code == status
    assert said in output


def test_nvidia_smis_table_is_even(host: Host) -> None:
    widths = {len(line) for line in host.smi()[1].splitlines() if line.startswith(("|", "+"))}
    assert widths == {91}


def test_nvidia_smi_queries_as_csv(host: Host) -> None:
    fields = "--query-gpu=index,memory.total,power.limit,mig.mode.current"
    assert host.smi(fields, "--format=csv,noheader,nounits", "-i", "1") == (0, "1, 81559, 700.00, Disabled\n")
    assert (
        host.smi(fields, "--format=csv")[1].splitlines()[0]
        == "index, memory.total [MiB], power.limit [W], mig.mode.current"
    )
    status, said = host.smi("--query-gpu=wrong", "--format=csv")
    assert (status, "is not a valid field" in said) == (2, True)


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (lambda _: None, [0, 2]),
        (lambda host: hardware.lose(host.etc, 0), [0, 1]),
        (lambda host: hardware.put_host(host.etc, cuda_fault=802), [802, 0]),
        (lambda host: hardware.put_host(host.etc, fault="unknown"), [999, 0]),
        (lambda host: hardware.put_host(host.etc, driver="580.95.05"), [803, 0]),
        (lambda host: [(host.dev / f"nvidia{n}").unlink() for n in range(2)], [100, 0]),
    ],
)
def test_cuda_initialises_only_with_a_gpu(host: Host, change: Callable[[Host], None], answer: list[int]) -> None:
    change(host)
    program = """
cuda = ctypes.CDLL("libcuda.so.1"); count = ctypes.c_int(); rc = cuda.cuInit(0)
cuda.cuDeviceGetCount(ctypes.byref(count)); show([rc, count.value])
"""
    assert host.ask(program) == answer
