"""The lab on its own: labs live side by side, and nothing of one is left when it goes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest
from site_under_test import Lab

OTHERS = (Lab("e2e-left"), Lab("e2e-right"))


def traces() -> dict[str, set[str]]:
    """What a lab could leave behind on this machine outside its cache."""

    def lines(*command: str) -> set[str]:
        return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())

    # One that has ended and waits for its parent (state Z) is no longer ours, but the machine's init's.
    running = (line.split(maxsplit=1) for line in lines("ps", "-eo", "stat=,args="))
    return {
        "mounts": lines("findmnt", "--noheadings", "--raw", "--output", "TARGET,SOURCE"),
        "rules": {line for line in lines("iptables-save") if line.startswith("-A")},
        "links": {line.split(":")[1].strip() for line in lines("ip", "-o", "link")},
        "processes": {args for state, args in running if state[0] != "Z" and ("conmon" in args or "crun" in args)},
        "groups": lines("find", "/sys/fs/cgroup", "-type", "d", "-name", "*e2e-left*"),
    }


@pytest.fixture
def pair() -> Iterator[tuple[Lab, Lab]]:
    for lab in OTHERS:
        lab("up", "--host", "a", "--no-mirror", timeout=3600)
    yield OTHERS
    for lab in OTHERS:
        lab("down")


def test_nothing_is_left_behind() -> None:
    OTHERS[0]("down")
    before = traces()
    OTHERS[0]("up", "--host", "a", timeout=3600)
    OTHERS[0]("down")
    after = traces()
    assert {kind: after[kind] - before[kind] for kind in before} == {kind: set() for kind in before}


def test_two_labs_do_not_disturb_each_other(pair: tuple[Lab, Lab]) -> None:
    left, right = pair
    left.shell("a", "echo left > /root/name")
    left("reboot", "a")
    assert left.shell("a", "cat /root/name; hostname").split() == ["left", "a"]
    assert right.shell("a", "test ! -e /root/name && hostname").strip() == "a"
    states = [json.loads(lab("status", "--json").stdout) for lab in pair]
    addresses = [host["address"] for state in states for host in state["hosts"]]
    assert len(addresses) == len(set(addresses)) == 2


def test_a_snapshot_brings_a_host_back_as_it_was(pair: tuple[Lab, Lab]) -> None:
    lab = pair[0]
    lab.shell("a", "echo before > /root/state")
    lab("snapshot", "save", "before")
    lab.shell("a", "echo after > /root/state; touch /root/new")
    lab("snapshot", "restore", "before")
    assert lab.shell("a", "cat /root/state; ls /root/new 2>&1 || true").splitlines()[0] == "before"
    assert "No such file" in lab.shell("a", "ls /root/new 2>&1 || true")
