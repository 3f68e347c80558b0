"""What an administrator sets on the double of NVML: what it takes, what it refuses, and what is left after a reboot."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import packages
from lab.doubles.nvidia import hardware
from lab.doubles.nvidia.module import nvidia
from tests.contract.doubles.nvidia_host import Host, needs_compiler, needs_root

pytestmark = [needs_compiler, needs_root]
Plug = Callable[..., Host]

SETTINGS = """
nvmlInit(); d = nvmlDeviceGetHandleByIndex(0)
def clocks(): return [attempt(nvmlDeviceGetClockInfo, d, kind) for kind in (NVML_CLOCK_SM, NVML_CLOCK_MEM)]
def settings(): return [nvmlDeviceGetPersistenceMode(d), nvmlDeviceGetPowerManagementLimit(d),
    nvmlDeviceGetEnforcedPowerLimit(d), nvmlDeviceGetComputeMode(d), attempt(nvmlDeviceGetEccMode, d)]
"""


def ask(host: Host, *lines: str) -> Any:
    return host.ask("\n".join((SETTINGS, *lines)))


def reboot(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel module's double does to the state when a host boots."""
    monkeypatch.setattr(nvidia, "VERSION", packages.driver_versions()[0])
    monkeypatch.setattr(nvidia, "STATE", host.etc / hardware.STATE)
    monkeypatch.setattr(nvidia, "LOADED", host.etc / hardware.LOADED)
    nvidia.initialise()


def test_a_driver_that_was_just_loaded_has_its_own_settings(host: Host) -> None:
    assert ask(host, "show([settings(), clocks()])") == [[0, 700000, 700000, 0, [1, 1]], [345, 2619]]


def test_settings_are_seen_by_the_next_process_and_forgotten_at_a_reboot(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(
        host,
        "nvmlDeviceSetPersistenceMode(d, 1); nvmlDeviceSetPowerManagementLimit(d, 350500)",
        "nvmlDeviceSetComputeMode(d, NVML_COMPUTEMODE_EXCLUSIVE_PROCESS); nvmlDeviceSetEccMode(d, 0)",
        "nvmlDeviceSetGpuLockedClocks(d, 900, 1200); nvmlDeviceSetMemoryLockedClocks(d, 2619, 2619); show(0)",
    )
    assert ask(host, "show([settings(), clocks()])") == [[1, 350500, 350500, 3, [1, 0]], [900, 2619]]
    reboot(host, monkeypatch)
    assert ask(host, "show([settings(), clocks()])") == [[0, 700000, 700000, 0, [0, 0]], [345, 2619]]


def test_a_reset_makes_eccs_pending_mode_current_and_unlocks(host: Host) -> None:
    ask(host, "nvmlDeviceSetEccMode(d, 0); nvmlDeviceSetGpuLockedClocks(d, 900, 900); show(0)")
    assert host.smi("--gpu-reset", "-i", "0")[0] == 0
    assert ask(host, "show([nvmlDeviceGetEccMode(d), clocks()])") == [[0, 0], [345, 2619]]


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ("nvmlDeviceSetPowerManagementLimit, d, 199999", "InvalidArgument"),
        ("nvmlDeviceSetPowerManagementLimit, d, 700001", "InvalidArgument"),
        ("nvmlDeviceSetComputeMode, d, NVML_COMPUTEMODE_EXCLUSIVE_THREAD", "InvalidArgument"),
        ("nvmlDeviceSetComputeMode, d, 9", "InvalidArgument"),
        ("nvmlDeviceSetEccMode, d, 2", "InvalidArgument"),
        ("nvmlDeviceSetPersistenceMode, d, 2", "InvalidArgument"),
        ("nvmlDeviceSetGpuLockedClocks, d, 1200, 900", "InvalidArgument"),
        ("nvmlDeviceSetGpuLockedClocks, d, 345, 1995", "InvalidArgument"),
        ("nvmlDeviceSetGpuLockedClocks, d, 300, 900", "InvalidArgument"),
        ("nvmlDeviceSetMemoryLockedClocks, d, 405, 2619", "InvalidArgument"),
        ("nvmlDeviceGetSupportedGraphicsClocks, d, 1000", "NotFound"),
    ],
)
def test_what_a_card_does_not_take_is_refused(host: Host, call: str, answer: str) -> None:
    before = (host.etc / hardware.STATE).read_text()
    assert ask(host, f"show(attempt({call}))") == answer
    assert (host.etc / hardware.STATE).read_text() == before


@pytest.mark.parametrize(
    ("model", "limits"),
    [
        ("A100-40GB", [100000, 400000]),
        ("A100-80GB", [100000, 400000]),
        ("H200-141GB", [200000, 700000]),
        ("B200", [200000, 1000000]),
        ("T4", [60000, 70000]),
    ],
)
def test_every_card_has_its_own_limits(plugged: Plug, model: str, limits: list[int]) -> None:
    program = "show([nvmlDeviceGetPowerManagementLimitConstraints(d), nvmlDeviceGetPowerManagementDefaultLimit(d)])"
    assert ask(plugged(model), program) == [limits, limits[1]]


def test_supported_clocks_fall_in_steps(plugged: Plug) -> None:
    host = plugged("T4")
    program = """
memory = nvmlDeviceGetSupportedMemoryClocks(d)
show([memory, [nvmlDeviceGetSupportedGraphicsClocks(d, mhz)[::200] for mhz in memory]])
"""
    assert ask(host, program) == [[5001, 405], [[1590], [420]]]


def test_memory_clocks_are_locked_from_ampere_on(plugged: Plug) -> None:
    program = "show(attempt(nvmlDeviceSetMemoryLockedClocks, d, 405, 5001))"
    assert ask(plugged("T4"), program) == "NotSupported"
    program = "nvmlDeviceSetMemoryLockedClocks(d, 405, 405); show(clocks())"
    assert ask(plugged("L40S"), program) == [210, 405]


def test_mig_mode_takes_the_compute_mode_and_resets_ampere(plugged: Plug) -> None:
    host = plugged("A100-40GB")
    ask(
        host,
        "nvmlDeviceSetComputeMode(d, 3); nvmlDeviceSetGpuLockedClocks(d, 900, 900); show(nvmlDeviceSetMigMode(d, 1))",
    )
    program = "show([nvmlDeviceGetComputeMode(d), attempt(nvmlDeviceSetComputeMode, d, 3), clocks()[0]])"
    assert ask(host, program) == [0, "NotSupported", 210]


def test_a_card_without_ecc(host: Host) -> None:
    hardware.put(host.etc, 0, ecc=-1)
    program = "show([attempt(f, d) for f in (nvmlDeviceGetEccMode, nvmlDeviceGetDefaultEccMode)])"
    assert ask(host, program) == ["NotSupported", "NotSupported"]
    assert ask(host, "show(attempt(nvmlDeviceSetEccMode, d, 1))") == "NotSupported"


def test_a_setter_may_fail_after_a_while_or_hang(host: Host) -> None:
    hardware.put(host.etc, 0, fail="nvmlDeviceSetPersistenceMode:15:2,nvmlDeviceSetEccMode:999")
    program = (
        "show([attempt(nvmlDeviceSetPersistenceMode, d, 1) for _ in range(4)] + [attempt(nvmlDeviceSetEccMode, d, 0)])"
    )
    assert ask(host, program) == [None, None, "GpuIsLost", "GpuIsLost", "Unknown"]
    hardware.put(host.etc, 0, hang="nvmlDeviceSetPowerManagementLimit")
    program = """
import os, signal, time
child = os.fork()
if child == 0:
    nvmlDeviceSetPowerManagementLimit(d, 300000)
    os._exit(0)
ended = os.waitpid(child, os.WNOHANG)[0]
deadline = time.monotonic() + 1
while not ended and time.monotonic() < deadline:
    ended = os.waitpid(child, os.WNOHANG)[0]
os.kill(child, signal.SIGKILL)
show([ended, nvmlDeviceGetPowerManagementLimit(d)])
"""
    assert ask(host, program) == [0, 700000]


def test_nvidia_smi_sets_and_shows(host: Host) -> None:
    for words in (("-pm", "1"), ("-pl", "350"), ("-lgc", "900,1200"), ("-lmc", "2619"), ("-c", "3"), ("-e", "0")):
        status, said = host.smi(*words, "-i", "1")
        assert (status, said.splitlines()[-1]) == (0, "All done."), said
    fields = "persistence_mode,power.limit,power.min_limit,power.max_limit,clocks.gr,clocks.mem,compute_mode"
    query = (f"--query-gpu={fields},ecc.mode.current,ecc.mode.pending", "--format=csv,noheader,nounits", "-i", "1")
    wanted = "Enabled, 350.00, 200.00, 700.00, 900, 2619, Exclusive_Process, Enabled, Disabled\n"
    assert host.smi(*query) == (0, wanted)
    assert host.smi("-rgc", "-i", "1")[0] == 0
    assert host.smi("--query-gpu=clocks.sm", "--format=csv,noheader,nounits", "-i", "1") == (0, "345\n")
    assert host.smi("-pl", "900", "-i", "1")[0] == 2


def test_only_root_sets(host: Host, tmp_path: Path) -> None:
    program = """
import os
os.setuid(65534)
show([attempt(nvmlDeviceSetPersistenceMode, d, 1), nvmlDeviceGetPersistenceMode(d)])
"""
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    assert ask(host, program) == ["NoPermission", 0]


@pytest.mark.parametrize(("options", "on"), [([], 1), (["--no-persistence-mode"], 0)])
def test_the_persistence_daemon_sets_the_mode_unless_it_is_told_not_to(
    host: Host, tmp_path: Path, options: list[str], on: int
) -> None:
    """As it is when it runs, and when it was ended; its pid file is put elsewhere, and the module counts as loaded."""
    program = (Path(hardware.__file__).parent / "packages/nvidia-persistenced").read_text()
    program = program.replace("/run/nvidia-persistenced", str(tmp_path / "run")).replace("/proc/driver", str(tmp_path))
    (tmp_path / "nvidia").mkdir()
    (tmp_path / "nvidia/version").touch()
    command = ["sh", "-c", program, "nvidia-persistenced", *options]
    with subprocess.Popen(command, env=host.environment()) as daemon:
        deadline = time.monotonic() + 30
        while ask(host, "show(settings()[0])") != on or not list((tmp_path / "run").glob("*.pid")):
            assert time.monotonic() < deadline, "persistence mode is not as the daemon was told"
        daemon.terminate()
    assert (ask(host, "show(settings()[0])"), (tmp_path / "run").exists()) == (0, False)
