"""What module nvidia_gpu_settings does, on the double of NVML: what it sets is what nvidia-smi then tells."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import packages, paths
from lab.doubles.nvidia import hardware

pytestmark = [
    pytest.mark.skipif(
        not (shutil.which("make") and shutil.which("cc")),
        reason="the double is written in C: make and a compiler are needed",
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="changing settings needs root, as with the real library"),
]

# One declaration after the other, each in a process of its own: the library keeps state for the life of one.
PROGRAM = """
import json, os, pathlib, sys
import ansible.module_utils
ansible.module_utils.__path__.append(f"{sys.argv[1]}/module_utils")
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu.settings import declare, locks
for line in sys.stdin:
    given = json.loads(line)
    if os.fork() == 0:
        os.environ["NVML_DOUBLE_STATE"] = given.pop("state")
        locks.ACCOUNT = pathlib.Path(given.pop("account"))
        try:
            answer = declare.declare(**given)
        except GroundworkError as error:
            answer = {"message": error.message, "remedy": error.remedy}
        print(json.dumps(answer), flush=True)
        os._exit(0)
    os.wait()
"""
FIELDS = ("persistence_mode", "power.limit", "clocks.gr", "clocks.mem", "compute_mode", "ecc.mode.current")
ALL: dict[str, Any] = {
    "persistence_mode": True,
    "power_limit_watts": 400,
    "locked_graphics_clocks_mhz": [1410],
    "locked_memory_clocks_mhz": [2619],
    "compute_mode": "exclusive_process",
    "ecc": False,
}


class Host:
    """A host with GPUs of one model, whose driver is loaded."""

    def __init__(self, folder: Path, worker: subprocess.Popen[str], model: str, count: int) -> None:
        self.etc = folder / "etc"
        self.account = folder / "locks.json"
        self.worker = worker
        hardware.create(self.etc, "n2", model, count)
        hardware.put_host(self.etc, driver=packages.driver_versions()[0])

    def declare(self, change: bool = True, timeout_seconds: float = 30, **given: Any) -> dict[str, Any]:
        """What the worker returns; a refusal has `message` and `remedy`."""
        where = {"state": str(self.etc / hardware.STATE), "account": str(self.account)}
        options = {name: given.pop(name) for name in ("allow_disruption", "restore", "only") if name in given}
        asked = {"settings": given, "allow_disruption": False, "timeout_seconds": timeout_seconds, "change": change}
        assert self.worker.stdin is not None
        assert self.worker.stdout is not None
        print(json.dumps({**where, **asked, **options}), file=self.worker.stdin, flush=True)
        found: dict[str, Any] = json.loads(self.worker.stdout.readline())
        return found

    def state(self) -> str:
        """All that the hardware knows."""
        return (self.etc / hardware.STATE).read_text()

    def smi(self, *words: str) -> str:
        """What nvidia-smi says."""
        driver = packages.driver_directory(packages.driver_versions()[0])
        own = {
            "NVML_DOUBLE_STATE": str(self.etc / hardware.STATE),
            "NVML_DOUBLE_DEV": "",
            "LD_LIBRARY_PATH": str(driver),
        }
        argv = [str(driver / "nvidia-smi"), *words]
        return subprocess.run(argv, env={**os.environ, **own}, check=True, capture_output=True, text=True).stdout

    def told(self) -> list[list[str]]:
        """FIELDS of each GPU."""
        lines = self.smi(f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits").splitlines()
        return [line.split(", ") for line in lines]


@pytest.fixture(scope="module")
def worker() -> Iterator[subprocess.Popen[str]]:
    driver = packages.driver_directory(packages.driver_versions()[0])
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(paths.PROJECT)],
        env={**os.environ, "NVML_DOUBLE_DEV": "", "LD_LIBRARY_PATH": str(driver)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        yield started
        assert started.stdin is not None
        started.stdin.close()


@pytest.fixture
def h100(tmp_path: Path, worker: subprocess.Popen[str]) -> Host:
    return Host(tmp_path, worker, "H100-80GB", 2)


def test_what_is_set_is_what_the_driver_tells(h100: Host) -> None:
    found = h100.declare(**ALL)
    assert found["changed"] is True
    assert h100.told() == [["Enabled", "400.00", "1410", "2619", "Exclusive_Process", "Enabled"]] * 2
    assert len(found["reset_required"]) == 2
    again = h100.declare(**ALL)
    assert (again["changed"], again["actions"], again["before"]) == (False, [], found["after"])


def test_ecc_comes_with_a_reset_which_forgets_the_rest(h100: Host) -> None:
    """That is why a run sets locks again, and why ECC comes before the others."""
    h100.declare(**ALL)
    for gpu in ("0", "1"):
        h100.smi("--gpu-reset", "-i", gpu)
    assert [told[4:] for told in h100.told()] == [["Default", "Disabled"]] * 2
    found = h100.declare(**ALL)
    assert (found["changed"], found["reset_required"]) == (True, [])
    assert h100.told() == [["Enabled", "400.00", "1410", "2619", "Exclusive_Process", "Disabled"]] * 2


def test_check_mode_tells_what_then_comes_about(h100: Host) -> None:
    before = h100.state()
    plan = h100.declare(change=False, **ALL)
    assert h100.state() == before
    assert h100.declare(**ALL) == plan


def test_one_gpu_has_its_own(h100: Host) -> None:
    uuid = hardware.uuids(h100.etc)[1]
    h100.declare(persistence_mode=True, power_limit_watts=500, by_gpu=[{"uuid": uuid, "power_limit_watts": 300}])
    assert [told[1] for told in h100.told()] == ["500.00", "300.00"]


def test_back_to_the_cards_own(h100: Host) -> None:
    h100.declare(persistence_mode=True)
    fresh = h100.told()
    h100.declare(**ALL)
    assert h100.declare(restore=True, **ALL)["reset_required"] == []
    assert h100.told() == fresh
    assert h100.declare(restore=True, **ALL)["changed"] is False


@pytest.mark.parametrize(
    ("model", "settings", "said"),
    [
        ("H100-80GB", {"power_limit_watts": 701}, "takes a power limit of 200 to 700 W, not 701 W"),
        ("A100-80GB", {"power_limit_watts": 401}, "to 400 W, not 401 W"),
        ("A100-80GB", {"locked_graphics_clocks_mhz": [1411]}, "1411 MHz, nearest 1395 and 1410"),
        ("A100-80GB", {"locked_memory_clocks_mhz": [2619]}, "2619 MHz, nearest"),
        ("L40S", {"by_gpu": [{"product": "NVIDIA A100*", "ecc": True}]}, "No GPU of this host is product NVIDIA A100*"),
        ("L40S", {"by_gpu": [{"uuid": "GPU-1", "ecc": True}]}, "No GPU of this host is uuid GPU-1"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_changed(
    tmp_path: Path, worker: subprocess.Popen[str], model: str, settings: dict[str, Any], said: str
) -> None:
    host = Host(tmp_path, worker, model, 1)
    before = host.state()
    found = host.declare(persistence_mode=True, **settings)
    assert said in found["message"]
    assert host.state() == before


def test_a_card_without_ecc(h100: Host) -> None:
    hardware.put(h100.etc, 1, ecc=-1)
    before = h100.state()
    found = h100.declare(ecc=False)
    assert "GPU 1 (GPU-" in found["message"]
    assert "has no ECC" in found["message"]
    assert h100.state() == before
    assert h100.declare(persistence_mode=True, power_limit_watts=400)["after"][1]["ecc"] is None


def test_work_on_a_gpu_is_named_and_left_alone(h100: Host) -> None:
    hardware.occupy(h100.etc, 1, 4242, "python3", 1000)
    before = h100.state()
    found = h100.declare(**ALL)
    assert "GPU 1 (GPU-" in found["message"]
    assert "cannot set ECC to off, used by" in found["message"]
    assert "cannot set compute mode to exclusive_process, used by" in found["message"]
    assert "pid 4242" in found["message"]
    assert h100.state() == before
    assert h100.declare(persistence_mode=True, power_limit_watts=400)["changed"] is True
    assert h100.declare(allow_disruption=True, **ALL)["changed"] is True


def test_a_gpu_in_mig_mode_has_limits_and_clocks_but_no_compute_mode(h100: Host) -> None:
    h100.smi("-i", "0", "-mig", "1")
    found = h100.declare(compute_mode="prohibited")
    assert "GPU 0 (GPU-" in found["message"]
    assert "MIG mode" in found["message"]
    found = h100.declare(**{**ALL, "compute_mode": "default", "ecc": True})
    assert found["changed"] is True
    assert h100.told() == [["Enabled", "400.00", "1410", "2619", "Default", "Enabled"]] * 2


def test_a_gpu_that_hangs_is_named_and_changes_nothing(h100: Host) -> None:
    hardware.hang(h100.etc, 0)
    before = h100.state()
    began = time.monotonic()
    found = h100.declare(timeout_seconds=2, **ALL)
    assert "GPU 0 does not answer: No answer in time" in found["message"]
    assert time.monotonic() - began < 30
    assert h100.state() == before
