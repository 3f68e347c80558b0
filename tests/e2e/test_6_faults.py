"""What must survive, and what must be found by name when it does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import automation
import pods
import pytest
from site_under_test import Lab, Site, await_that


def hold_a_gpu(site: Site, name: str) -> None:
    """Start a pod that holds a GPU of n2."""
    pods.start(site, pods.pod(name, node="n2", resource="nvidia.com/gpu"))


def gpus_of(site: Site, name: str) -> list[str]:
    """The UUIDs that NVML shows inside a running pod, by the nvidia-smi that CDI brings along."""
    return re.findall(r"UUID: (GPU-[0-9a-f-]+)", site.kubectl("exec", name, "--", "nvidia-smi", "-L"))


@pytest.fixture
def keeper(site: Site) -> Iterator[str]:
    """A pod that holds one GPU of n2."""
    hold_a_gpu(site, "keeper")
    yield "keeper"
    pods.delete(site, "keeper", "second")


DISTURBANCES = {
    "daemon-reload": "systemctl daemon-reload",
    "containerd restarted": "snap restart microk8s.daemon-containerd",
}


@pytest.mark.sampled("faults")
@pytest.mark.parametrize("what", DISTURBANCES)
def test_a_pod_keeps_its_gpu_and_a_new_one_gets_one(site: Site, lab: Lab, keeper: str, what: str) -> None:
    before = gpus_of(site, keeper)
    lab.shell("n2", DISTURBANCES[what])
    await_that(lambda: gpus_of(site, keeper) == before, 60, f"{keeper} sees {before} after: {what}")
    hold_a_gpu(site, "second")
    assert set(gpus_of(site, "second")).isdisjoint(before)


@pytest.fixture
def volume(site: Site) -> Iterator[pods.Manifest]:
    """A volume that all nodes share, as a pod has it; it and the pod go at the end."""
    pods.apply(site, pods.claim("waiting"))
    site.kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/waiting", "--timeout=120s", timeout=150)
    yield pods.with_volume("waiting")
    pods.delete(site, "waiting")
    site.kubectl("delete", "pvc", "waiting", "--wait=true", timeout=120)


@pytest.mark.sampled("faults")
def test_a_node_without_its_storage_starts_and_pods_wait_for_it(site: Site, lab: Lab, volume: pods.Manifest) -> None:
    lab.shell("n1", "gluster --mode=script volume stop shared")
    try:
        lab("reboot", "n3")
        await_that(lambda: "True" in ready(site, "n3"), 180, "n3 is Ready without its storage")
        assert "cannot touch" in lab.shell("n3", "touch /srv/shared/lost 2>&1", check=False)
        program = "open('/data/word', 'w').write('kept'); print('done')"
        pods.apply(site, pods.pod("waiting", program, node="n3", **volume))
        await_that(lambda: "FailedMount" in events(site, "waiting"), 120, "the pod waits for its volume")
    finally:
        lab.shell("n1", "gluster volume start shared")
    assert pods.said(site, "waiting") == "done"


def ready(site: Site, node: str) -> str:
    path = "{.status.conditions[?(@.type=='Ready')].status}"
    return site.kubectl("get", "node", node, f"-o=jsonpath={path}", check=False)


def events(site: Site, name: str) -> str:
    selector = f"involvedObject.name={name}"
    return site.kubectl("get", "events", f"--field-selector={selector}", "-o=jsonpath={.items[*].reason}", check=False)


def test_after_all_that_and_a_reboot_site_yml_changes_nothing(
    site: Site, lab: Lab, keeper: str, tmp_path: Path
) -> None:
    """The second run, as automation has it: all that was asked for is there. Pods of other nodes keep their GPUs."""
    before = gpus_of(site, keeper)
    lab("reboot", "n3")
    status, found, progress = automation.play(site, "site.yml", tmp_path)
    assert (status, found) == (0, {"ok": True, "changed": 0, "faults": []}), progress
    assert "Report" in progress, progress
    assert gpus_of(site, keeper) == before
    hold_a_gpu(site, "second")
    assert set(gpus_of(site, "second")).isdisjoint(before)
