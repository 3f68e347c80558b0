"""Module nvidia_mig on the double of NVML, as Ansible runs it: what it makes is what another process then sees."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
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
    pytest.mark.skipif(os.geteuid() != 0, reason="changing MIG needs root, as with the real library"),
]

# The module for one host after the other, each in a process of its own: the library keeps state for the life of one.
PROGRAM = """
import importlib.util, json, os, sys
import ansible.module_utils
from ansible.module_utils.testing import patch_module_args
project = sys.argv[1]
ansible.module_utils.__path__.append(f"{project}/module_utils")
specification = importlib.util.spec_from_file_location("nvidia_mig", f"{project}/library/nvidia_mig.py")
module = importlib.util.module_from_spec(specification)
specification.loader.exec_module(module)
for line in sys.stdin:
    given = json.loads(line)
    if os.fork() == 0:
        os.environ["NVML_DOUBLE_STATE"] = given.pop("state")
        with patch_module_args(given):
            module.main()
    os.wait()
"""
Counts = dict[str, int]


class Host:
    """A host with GPUs of one model, whose driver is loaded."""

    def __init__(self, folder: Path, modules: subprocess.Popen[str], model: str, count: int) -> None:
        self.etc = folder / "etc"
        self.modules = modules
        hardware.create(self.etc, "n2", model, count)
        hardware.put_host(self.etc, driver=packages.driver_versions()[0])

    def declare(self, selected: str, check: bool = False, **arguments: Any) -> dict[str, Any]:
        """What the module returns."""
        given = {"state": str(self.etc / hardware.STATE), "selected": selected, "_ansible_check_mode": check}
        assert self.modules.stdin is not None
        assert self.modules.stdout is not None
        print(json.dumps({**given, **arguments}), file=self.modules.stdin, flush=True)
        self.modules.stdout.readline()  # a module begins with an empty line
        found: dict[str, Any] = json.loads(self.modules.stdout.readline())
        return found

    def state(self) -> str:
        """All that the hardware knows."""
        return (self.etc / hardware.STATE).read_text()


@pytest.fixture(scope="module")
def modules() -> Iterator[subprocess.Popen[str]]:
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
def h100(tmp_path: Path, modules: subprocess.Popen[str]) -> Host:
    return Host(tmp_path, modules, "H100-80GB", 2)


def config(*entries: dict[str, Any], name: str = "mine") -> dict[str, Any]:
    return {"version": "v1", "mig-configs": {name: list(entries)}}


def cut(devices: str | list[int], **profiles: int) -> dict[str, Any]:
    """An entry; 1g.10gb is written g1_10 here."""
    counts = {f"{key[1]}g.{key.split('_')[1]}gb": count for key, count in profiles.items()}
    return {"devices": devices, "mig-enabled": True, "mig-devices": counts}


def counts(found: dict[str, Any], gpu: int) -> Counts:
    uuid = found["after"][gpu]["uuid"]
    return dict(Counter(one["profile"] for one in found["instances"] if one["gpu"] == uuid))


def test_a_layout_is_made_once_and_taken_back(h100: Host) -> None:
    first = h100.declare("all-balanced")
    assert (first["changed"], first["reset_required"]) == (True, [])
    assert [counts(first, gpu) for gpu in (0, 1)] == [{"1g.10gb": 2, "2g.20gb": 1, "3g.40gb": 1}] * 2
    assert len({one["uuid"] for one in first["instances"]}) == 8
    assert all(one["uuid"].startswith("MIG-") for one in first["instances"])
    again = h100.declare("all-balanced")
    assert (again["changed"], again["actions"], again["instances"]) == (False, [], first["instances"])
    gone = h100.declare("all-disabled")
    assert (gone["changed"], gone["instances"]) == (True, [])
    assert {gpu["mode_current"] for gpu in gone["after"]} == {"disabled"}


@pytest.mark.parametrize(
    ("model", "profile", "count"),
    [
        ("A100-80GB", "1g.10gb", 7),
        ("H100-80GB", "1g.10gb", 7),
        ("H100-80GB", "1g.20gb", 4),
        ("H100-80GB", "1g.10gb+me", 1),
        ("H100-80GB", "3g.40gb", 2),
        ("H100-80GB", "7g.80gb", 1),
        ("H200-141GB", "1g.18gb", 7),
        ("H200-141GB", "2g.35gb", 3),
    ],
)
def test_as_many_as_fit(tmp_path: Path, modules: subprocess.Popen[str], model: str, profile: str, count: int) -> None:
    found = Host(tmp_path, modules, model, 1).declare(f"all-{profile.replace('+', '.')}")
    assert counts(found, 0) == {profile: count}


def test_check_mode_tells_what_then_comes_about(h100: Host) -> None:
    before = h100.state()
    plan = h100.declare("all-balanced", check=True)
    assert h100.state() == before
    done = h100.declare("all-balanced")
    assert (plan["changed"], plan["actions"], plan["diff"]) == (True, done["actions"], done["diff"])
    assert "  3g.40gb at " in plan["diff"]["after"]
    assert h100.declare("all-balanced", check=True)["changed"] is False


def test_only_what_differs_is_changed(h100: Host) -> None:
    first = h100.declare("mine", config=config(cut("all", g1_10=3)))
    more = h100.declare("mine", config=config(cut([0], g1_10=3, g3_40=1), cut([1], g1_10=3)))
    kept = {one["uuid"] for one in first["instances"]}
    assert kept <= {one["uuid"] for one in more["instances"]}
    assert len(more["actions"]) == 1


def test_gpus_that_the_layout_does_not_name_are_left_alone(h100: Host) -> None:
    found = h100.declare("mine", config=config(cut([1], g7_80=1)))
    assert (counts(found, 0), counts(found, 1)) == ({}, {"7g.80gb": 1})
    assert found["after"][0] == found["before"][0]


def test_a_layout_that_does_not_fit_changes_no_gpu(h100: Host) -> None:
    before = h100.state()
    found = h100.declare("mine", config=config(cut([0], g1_10=7), cut([1], g3_40=2, g1_10=1)))
    assert (found["failed"], found["changed"], h100.state()) == (True, False, before)
    assert "GPU 1 (GPU-" in found["msg"]
    assert "together fit 2 of 2 3g.40gb, 0 of 1 1g.10gb" in found["msg"]


def test_a_profile_that_the_model_does_not_have_is_refused_with_those_it_has(h100: Host) -> None:
    found = h100.declare("mine", config=config(cut("all", g1_18=7)))
    assert "has no profile 1g.18gb; it has 1g.10gb (at most 7)" in found["msg"]
    assert "all-1g.18gb does not fit" in h100.declare("all-1g.18gb")["msg"]


def test_a_model_that_cannot_be_partitioned(tmp_path: Path, modules: subprocess.Popen[str]) -> None:
    host = Host(tmp_path, modules, "L40S", 1)
    assert host.declare("all-disabled")["changed"] is False
    assert host.declare("all-balanced")["changed"] is False
    assert "cannot be partitioned" in host.declare("mine", config=config(cut([0], g1_10=1)))["msg"]


def test_work_on_a_whole_gpu_is_named_and_left_alone(h100: Host) -> None:
    hardware.occupy(h100.etc, 1, 4242, "python3", 1000)
    before = h100.state()
    found = h100.declare("all-balanced")
    assert (found["failed"], h100.state()) == (True, before)
    assert "cannot enable MIG mode, used by" in found["msg"]
    assert "pid 4242" in found["msg"]
    assert "gpu_mig_allow_disruption" in found["remedy"]


def test_a_mode_that_waits_for_a_reset_is_told_and_is_a_change_once(h100: Host) -> None:
    hardware.occupy(h100.etc, 1, 4242, "python3", 1000)
    found = h100.declare("all-balanced", allow_disruption=True)
    assert (found["changed"], len(found["instances"])) == (True, 4)
    assert found["reset_required"] == [{"gpu": found["after"][1]["uuid"], "reason": "In use by another client"}]
    assert (found["after"][1]["mode_current"], found["after"][1]["mode_pending"]) == ("disabled", "enabled")
    again = h100.declare("all-balanced", allow_disruption=True)
    assert (again["changed"], again["reset_required"]) == (False, found["reset_required"])
    hardware.vacate(h100.etc, 1)
    assert len(h100.declare("all-balanced")["instances"]) == 8


def test_a_reset_that_a_virtual_machine_cannot_make_is_asked_for(h100: Host) -> None:
    hardware.put(h100.etc, 0, reset_required=1)
    found = h100.declare("all-1g.10gb")
    assert [one["reason"] for one in found["reset_required"]] == ["GPU requires reset"]
    assert counts(found, 1) == {"1g.10gb": 7}


def occupy_instance(host: Host, instance: dict[str, Any]) -> None:
    hardware.occupy(host.etc, 0, 4711, "python3", 1000)
    with hardware.change(host.etc) as ini:
        ini["gpu.0.proc.0"].update({"gi": str(instance["gpu_instance_id"]), "ci": "0"})


def test_an_instance_in_use_is_kept_where_the_layout_has_it(h100: Host) -> None:
    first = h100.declare("all-1g.10gb")
    used = first["instances"][2]
    occupy_instance(h100, used)
    found = h100.declare("mine", config=config(cut("all", g1_10=1)))
    assert (counts(found, 0), counts(found, 1)) == ({"1g.10gb": 1}, {"1g.10gb": 1})
    assert used["uuid"] in [one["uuid"] for one in found["instances"]]


@pytest.mark.parametrize("allow", [False, True])
def test_an_instance_in_use_is_never_taken_away(h100: Host, allow: bool) -> None:
    """With leave to disrupt the driver itself refuses; what is used comes first, so that the GPU is as it was."""
    first = h100.declare("all-1g.10gb")
    occupy_instance(h100, first["instances"][2])
    before = h100.state()
    found = h100.declare("all-3g.40gb", allow_disruption=allow)
    assert (found["failed"], found["changed"], h100.state()) == (True, False, before)
    assert "used by" in found["msg"]
    assert "pid 4711" in found["msg"]


def test_who_holds_a_gpu_unseen_is_told_by_the_driver(h100: Host) -> None:
    h100.declare("all-1g.10gb")
    hardware.put(h100.etc, 0, fail="nvmlGpuInstanceDestroy:19")
    found = h100.declare("all-3g.40gb")
    assert "cannot destroy 1g.10gb at" in found["msg"]
    assert "nv-hostengine" in found["remedy"]


def test_what_a_killed_run_left_is_put_right(h100: Host) -> None:
    """A GPU instance without its compute instance."""
    first = h100.declare("all-3g.40gb")
    with hardware.change(h100.etc) as ini:
        ini.remove_section(f"gpu.0.gi.{first['instances'][0]['gpu_instance_id']}.ci.0")
    found = h100.declare("all-3g.40gb")
    assert (found["changed"], len(found["actions"]), found["instances"]) == (True, 2, first["instances"])


def test_a_lost_gpu_is_in_the_way_only_where_the_layout_has_it(h100: Host) -> None:
    hardware.lose(h100.etc, 0)
    found = h100.declare("all-1g.10gb")
    assert "GPU 0 does not answer" in found["msg"]
    assert "fell off the bus" in found["remedy"]
    assert counts(h100.declare("mine", config=config(cut([1], g7_80=1))), 1) == {"7g.80gb": 1}


def test_a_hanging_gpu_ends_in_time(h100: Host) -> None:
    hardware.hang(h100.etc, 1)
    assert "No answer in time from GPU 1" in h100.declare("all-1g.10gb", timeout_seconds=1)["msg"]


def test_without_a_driver_check_mode_says_what_would_follow(h100: Host) -> None:
    hardware.put_host(h100.etc, driver="")
    found = h100.declare("all-1g.10gb", check=True)
    assert (found["changed"], found["nvml"]["available"]) == (True, False)
    assert h100.declare("all-1g.10gb")["msg"].startswith("NVML Init: Driver Not Loaded")
    assert "There is no MIG layout" in h100.declare("all-small", check=True)["msg"]
