"""A node's MIG layout, changed by operations/mig on a running cluster: refused, killed, finished, back after a boot."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from typing import Any

import pods
import pytest
from site_under_test import Run, Site, await_that

VERB = "playbooks/operations/mig.yml"
LAYOUTS = {"all-3g.40gb": ("nvidia.com/mig-3g.40gb", 4), "all-2g.20gb": ("nvidia.com/mig-2g.20gb", 6)}
"""What each has the two GPUs of n2 offer."""
FIRST, SECOND = LAYOUTS
WHOLE = "all-disabled"
STEPS = (
    "Ensure nothing is on the node's GPUs",
    "Ensure the GPUs have the layout",
    "Ensure the specification is written anew",
    "Ensure the layout is there again after each boot, or nothing is left to do there",
    "Wait until the node is Ready, which it is at once unless it was rebooted",
    "Let what reads GPUs come back",
    "Ensure Kubernetes offers, and labels, every GPU that NVML sees",
    "Prove that pods get the GPUs",
    "Ensure the node is open, where it was before",
)


def change(site: Site, layout: str, *more: str) -> Run:
    """Have n2 another layout, as a user would."""
    return site.play("--limit", "n2", "-e", f"gpu_mig_layout={layout}", *more, playbook=VERB)


def node(site: Site) -> dict[str, Any]:
    """The node n2."""
    found: dict[str, Any] = json.loads(site.kubectl("get", "node", "n2", "-o", "json"))
    return found


def offered(site: Site) -> dict[str, int]:
    """What n2 offers of NVIDIA's resources, those of which it offers some."""
    found = node(site)["status"]["allocatable"]
    return {name: int(count) for name, count in found.items() if name.startswith("nvidia.com/") and int(count)}


def assert_settled(site: Site, layout: str) -> None:
    """The layout is there, Kubernetes offers and labels it, and nothing is left of the change."""
    resource, count = LAYOUTS[layout]
    found = node(site)
    assert offered(site) == {resource: count}
    labels = {name: value for name, value in found["metadata"]["labels"].items() if re.search(r"/mig-.*\.count", name)}
    assert labels == {f"{resource}.count": str(count)}
    assert not found["spec"].get("unschedulable")
    assert not [name for name in found["metadata"]["annotations"] if name.startswith("groundwork/gpu-drain")]
    assert "groundwork/gpu-clients" not in found["metadata"]["labels"]


@pytest.fixture(scope="module")
def cut(site: Site) -> Iterator[Site]:
    """The site with n2 cut; whole again at the end, and open."""
    run = change(site, FIRST)
    assert run.status == 0, run.tail
    yield site
    run = change(site, WHOLE, "-e", "gpu_mig_allow_disruption=true")
    assert run.status == 0, run.tail
    assert offered(site) == {"nvidia.com/gpu": 2}


def test_a_layout_is_changed_under_limit_and_a_second_run_changes_nothing(cut: Site) -> None:
    assert_settled(cut, FIRST)
    run = change(cut, FIRST)
    assert run.status == 0, run.tail
    assert run.changed == {"n2": 0}
    assert "the inventory says nothing" in run.output, "who runs site.yml next must know"


@pytest.mark.sampled("mig, not killed")
def test_pods_in_the_way_are_listed_and_nothing_is_changed(cut: Site) -> None:
    resource, _ = LAYOUTS[FIRST]
    before = cut.lab.shell("n2", "nvidia-smi -L")
    pods.start(cut, pods.pod("holder", resource=resource))
    try:
        run = change(cut, SECOND)
        assert run.status != 0
        assert "default/holder (1 nvidia.com/mig-3g.40gb" in run.output, run.tail
        assert cut.lab.shell("n2", "nvidia-smi -L") == before
        assert_settled(cut, FIRST)
        run = change(cut, SECOND, "-e", "gpu_mig_allow_disruption=true")
        assert run.status == 0, run.tail
        assert not cut.kubectl("get", "pod", "holder", "--ignore-not-found")
        assert_settled(cut, SECOND)
    finally:
        pods.delete(cut, "holder")


@pytest.mark.sampled("mig")
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_a_rerun_reaches_the_layout(cut: Site, seed: int, step: str) -> None:
    layout = next(name for name, (resource, _) in LAYOUTS.items() if resource not in offered(cut))
    later = random.Random(f"{seed} {step}").uniform(0, 2)
    arguments = ("--limit", "n2", "-e", f"gpu_mig_layout={layout}")
    task = cut.kill(lambda _, name: name.endswith(f": {step}]"), *arguments, playbook=VERB, later=later)
    print(f"killed {later:.1f} s into {task}")
    assert step in task
    run = change(cut, layout)
    assert run.status == 0, run.tail
    assert_settled(cut, layout)


@pytest.mark.sampled("mig, not killed")
def test_a_layout_is_back_after_a_boot_without_a_run(cut: Site) -> None:
    before = cut.lab.shell("n2", "nvidia-smi -L")
    there = offered(cut)
    cut.lab("reboot", "n2")
    await_that(lambda: offered(cut) == there and pods_get(cut, next(iter(there))), 180, f"n2 offers {there} again")
    assert cut.lab.shell("n2", "nvidia-smi -L") == before


def pods_get(site: Site, resource: str) -> bool:
    """Whether a pod gets one, and sees one MIG device."""
    try:
        pods.start(site, pods.pod("booted", resource=resource))
        return site.kubectl("exec", "booted", "--", "nvidia-smi", "-L").count("UUID: MIG-") == 1
    finally:
        pods.delete(site, "booted")


@pytest.mark.sampled("mig, not killed")
def test_an_unknown_layout_and_one_that_does_not_fit_are_refused_before_the_node_is_touched(cut: Site) -> None:
    there = offered(cut)
    much = {"devices": "all", "mig-enabled": True, "mig-devices": {"3g.40gb": 3}}
    twice = {"devices": [0, 0], "mig-enabled": False}
    for layout, entry, said in (
        ("nowhere", None, "There is no MIG layout nowhere"),
        ("much", much, "together fit 2 of 3 3g.40gb"),
        ("twice", twice, "devices names a GPU twice"),
    ):
        given = {"version": "v1", "mig-configs": {layout: [entry]}} if entry else {}
        run = change(cut, layout, "-e", json.dumps({"gpu_mig_config": given}))
        assert run.status != 0
        assert said in run.output, run.tail
    assert offered(cut) == there
    assert not node(cut)["spec"].get("unschedulable")
