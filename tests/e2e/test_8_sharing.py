"""GPUs cut by MIG on one worker and shared by time-slicing on the other: declared, offered, used, and taken back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pods
import pytest
from site_under_test import Site, changed_inventory

pytestmark = pytest.mark.soak

SMALL, LARGE, SHARED = "nvidia.com/mig-1g.10gb", "nvidia.com/mig-3g.40gb", "nvidia.com/gpu.shared"
PLAYBOOKS = "playbooks/gpu.yml playbooks/kubernetes_gpu.yml"
CONFIGURATIONS = {
    "default": {"version": "v1", "flags": {"migStrategy": "mixed"}},
    "one-kind": {"version": "v1", "flags": {"migStrategy": "single"}},
    "shared": {
        "version": "v1",
        "flags": {"migStrategy": "mixed"},
        "sharing": {
            "timeSlicing": {
                "renameByDefault": True,
                "failRequestsGreaterThanOne": True,
                "resources": [{"name": "nvidia.com/gpu", "replicas": 4}],
            }
        },
    },
}


def layouts(**devices: int) -> dict[str, Any]:
    """The first GPU of n2 cut, the second whole."""
    cut = {"devices": [0], "mig-enabled": True, "mig-devices": devices}
    return {"version": "v1", "mig-configs": {"mine": [cut, {"devices": [1], "mig-enabled": False}]}}


def declared(site: Site, directory: Path, config: dict[str, Any], **more: str) -> Path:
    """The site's inventory with a layout for n2, sharing for n3, and more of n2."""

    def change(groups: dict[str, Any]) -> None:
        groups.setdefault("all", {}).setdefault("vars", {})["gpu_device_plugin_configurations"] = CONFIGURATIONS
        hosts = groups["workers"]["hosts"]
        hosts["n2"] |= {"gpu_mig_layout": "mine", "gpu_mig_config": config, "gpu_mig_allow_disruption": True} | more
        hosts["n3"] |= {"gpu_device_plugin_configuration": "shared"}

    return changed_inventory(site.lab, directory, change)


@pytest.fixture(scope="module")
def inventory(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site's inventory with MIG on n2 and sharing on n3."""
    return declared(site, tmp_path_factory.mktemp("sharing"), layouts(**{"1g.10gb": 3, "3g.40gb": 1}))


@pytest.fixture(scope="module")
def shared_site(site: Site, inventory: Path) -> Iterator[Site]:
    """What site.yml does of GPUs was done with that inventory: the hosts', Kubernetes', and the proof."""
    run = site.play(playbook=f"{PLAYBOOKS} playbooks/verify.yml", inventory=inventory)
    assert run.status == 0, run.tail
    yield site
    if allocatable(site, "n2")["nvidia.com/gpu"] != 2:
        make_whole(site)


def make_whole(site: Site) -> None:
    """Have whole GPUs again, none shared."""
    run = site.play("-e", "gpu_mig_layout=all-disabled", playbook=PLAYBOOKS)
    assert run.status == 0, run.tail


def allocatable(site: Site, node: str) -> dict[str, int]:
    """What a node offers of NVIDIA's resources."""
    found = json.loads(site.kubectl("get", "node", node, "-o", "json"))["status"]["allocatable"]
    return {name: int(count) for name, count in found.items() if name.startswith("nvidia.com/")}


def pods_with(site: Site, resource: str, count: int) -> list[list[str]]:
    """Run so many pods at once that ask for one each; the UUIDs of the devices that each of them can use."""
    names = [f"user-{number}" for number in range(count)]
    try:
        pods.start(site, *(pods.pod(name, resource=resource) for name in names))
        return [devices(site.kubectl("exec", name, "--", "nvidia-smi", "-L")) for name in names]
    finally:
        pods.delete(site, *names)


def devices(listed: str) -> list[str]:
    """UUIDs of `nvidia-smi -L`; a GPU in MIG mode is no device of its own."""
    uuids = [line.rsplit("UUID: ", 1)[1].rstrip(")") for line in listed.splitlines() if "UUID: " in line]
    return [uuid for uuid in uuids if uuid.startswith("MIG-")] or uuids


def test_mig_devices_and_shares_are_offered_and_proved(shared_site: Site) -> None:
    n2, n3 = allocatable(shared_site, "n2"), allocatable(shared_site, "n3")
    assert (n2["nvidia.com/gpu"], n2[SMALL], n2[LARGE]) == (1, 3, 1)
    assert (n3.get("nvidia.com/gpu", 0), n3[SHARED]) == (0, 8)
    seen = shared_site.report().proofs["kubernetes_gpu.pods_see_their_gpu"]
    assert f"n2 {SMALL}: 3 pods, 3 GPUs" in seen
    assert f"n3 {SHARED}: 4 pods, 2 GPUs" in seen, "shares are no more GPUs"
    assert SHARED in (shared_site.artifacts / "report.html").read_text()


def test_a_pod_sees_the_mig_device_that_it_got_and_nothing_else(shared_site: Site) -> None:
    found = pods_with(shared_site, SMALL, 3)
    listed = shared_site.lab.shell("n2", "nvidia-smi -L | grep 'MIG 1g.10gb'")
    assert sorted(found) == sorted([uuid] for uuid in devices(listed))


def test_several_pods_share_a_gpu_at_once(shared_site: Site) -> None:
    found = pods_with(shared_site, SHARED, 8)
    listed = devices(shared_site.lab.shell("n3", "nvidia-smi -L"))
    assert Counter(uuid for uuids in found for uuid in uuids) == dict.fromkeys(listed, 4)


def test_strategy_single_offers_mig_devices_as_gpus(shared_site: Site, tmp_path: Path) -> None:
    """All GPUs of the node are of one kind then; a pod asks for a GPU and sees a MIG device."""
    single = {"gpu_mig_layout": "all-1g.10gb", "gpu_device_plugin_configuration": "one-kind"}
    inventory = declared(shared_site, tmp_path, layouts(), **single)
    run = shared_site.play(playbook=f"{PLAYBOOKS} playbooks/verify.yml", inventory=inventory)
    assert run.status == 0, run.tail
    n2 = allocatable(shared_site, "n2")
    assert (n2["nvidia.com/gpu"], n2.get(SMALL, 0), n2.get(LARGE, 0)) == (14, 0, 0)
    labels = json.loads(shared_site.kubectl("get", "node", "n2", "-o", "json"))["metadata"]["labels"]
    assert labels["nvidia.com/gpu.count"] == "14"
    assert labels["nvidia.com/gpu.product"].endswith("MIG-1g.10gb")
    assert "n2: 14 pods, 14 GPUs" in shared_site.report().proofs["kubernetes_gpu.pods_see_their_gpu"]


def test_another_layout_takes_effect_with_the_next_run(shared_site: Site) -> None:
    """It is the last one, and gives the other tests' site back."""
    make_whole(shared_site)
    n2, n3 = allocatable(shared_site, "n2"), allocatable(shared_site, "n3")
    assert (n2["nvidia.com/gpu"], n2[SMALL], n2[LARGE]) == (2, 0, 0)
    assert (n3["nvidia.com/gpu"], n3[SHARED]) == (2, 0)
