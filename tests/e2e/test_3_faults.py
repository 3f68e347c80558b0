"""What must survive, and what must be found by name when it does not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from site_under_test import Lab, Site, await_that

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "keeper", "namespace": "default"},
    "spec": {
        "nodeSelector": {"kubernetes.io/hostname": "n2"},
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "main",
                "image": "docker.io/library/python:3.11-slim-bookworm",
                "command": ["python3", "-c", "import signal; signal.pause()"],
                "resources": {"limits": {"nvidia.com/gpu": "1"}},
            }
        ],
    },
}


def make_pod(site: Site, name: str) -> None:
    """Create a pod that holds a GPU of n2, and wait until it runs."""
    manifest = POD | {"metadata": {"name": name, "namespace": "default"}}
    site.lab.shell("n1", f"echo '{json.dumps(manifest)}' | /snap/bin/microk8s kubectl apply -f -")
    site.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=90s", timeout=120)


def gpus_of(site: Site, name: str) -> list[str]:
    """The UUIDs that NVML shows inside a running pod, by the nvidia-smi that CDI brings along."""
    return re.findall(r"UUID: (GPU-[0-9a-f-]+)", site.kubectl("exec", name, "--", "nvidia-smi", "-L"))


@pytest.fixture
def keeper(site: Site) -> Iterator[str]:
    """A pod that holds one GPU of n2."""
    make_pod(site, "keeper")
    yield "keeper"
    site.kubectl("delete", "pod", "keeper", "second", "--ignore-not-found", "--wait=true")


DISTURBANCES = {
    "daemon-reload": "systemctl daemon-reload",
    "containerd restarted": "snap restart microk8s.daemon-containerd",
}


@pytest.mark.parametrize("what", DISTURBANCES)
def test_a_pod_keeps_its_gpu_and_a_new_one_gets_one(site: Site, lab: Lab, keeper: str, what: str) -> None:
    before = gpus_of(site, keeper)
    lab.shell("n2", DISTURBANCES[what])
    await_that(lambda: gpus_of(site, keeper) == before, 60, f"{keeper} sees {before} after: {what}")
    make_pod(site, "second")
    assert set(gpus_of(site, "second")).isdisjoint(before)


def test_a_container_that_lost_its_device_group_is_found_by_name(site: Site, lab: Lab, keeper: str) -> None:
    lab("fault", "device-cgroup", "n2", f"default/{keeper}")
    run = site.play(playbook="playbooks/verify.yml")
    assert run.status != 0, run.tail
    assert any(keeper in check["observed"] for check in site.checks("failed")), site.checks("failed")


def test_an_enabled_nvidia_addon_is_refused_in_preflight(site: Site, lab: Lab) -> None:
    lab.shell("n1", "/snap/bin/microk8s enable nvidia")
    try:
        run = site.play()
        assert run.status != 0, run.tail
        assert "nvidia" in run.output, run.tail
        assert "microk8s disable nvidia" in run.output, run.tail
        assert set(run.changed.values()) <= {0}, run.tail
    finally:
        lab.shell("n1", "/snap/bin/microk8s disable nvidia")


def test_a_rebooted_host_comes_back_and_pods_elsewhere_keep_their_gpus(site: Site, lab: Lab, keeper: str) -> None:
    before = gpus_of(site, keeper)
    lab("reboot", "n3")
    run = site.play()
    assert run.status == 0, run.tail
    assert gpus_of(site, keeper) == before
    make_pod(site, "second")
    assert set(gpus_of(site, "second")).isdisjoint(before)
