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
    site.lab.shell("n2", "rm -rf /etc/containerd")


# Docker's package containerd.io comes with this file: its containerd serves no Kubernetes.
DOCKER = "mkdir -p /etc/containerd && echo 'disabled_plugins = [\"cri\"]' > /etc/containerd/config.toml"
DISTURBANCES = {
    "daemon-reload": "systemctl daemon-reload",
    "containerd restarted": "snap restart microk8s.daemon-containerd",
    "Docker installed beside": f"{DOCKER} && snap restart microk8s.daemon-containerd",
}


@pytest.mark.sampled("faults")
@pytest.mark.parametrize("what", DISTURBANCES)
def test_a_pod_keeps_its_gpu_and_a_new_one_gets_one(site: Site, lab: Lab, keeper: str, what: str) -> None:
    before = gpus_of(site, keeper)
    lab.shell("n2", DISTURBANCES[what])
    await_that(lambda: gpus_of(site, keeper) == before, 60, f"{keeper} sees {before} after: {what}")
    hold_a_gpu(site, "second")
    assert set(gpus_of(site, "second")).isdisjoint(before)


SNAP = "http://mirror/snaps/microk8s/1.36/stable/microk8s"
REFRESHES = {
    "to a revision of the file's own": "snap install --dangerous --classic /tmp/microk8s.snap",
    "back to the store's": "snap ack /tmp/microk8s.assert && snap install --classic /tmp/microk8s.snap",
}


@pytest.mark.soak
def test_a_pod_keeps_its_gpu_over_refreshes_of_the_snap(site: Site, lab: Lab, keeper: str) -> None:
    """Another revision has a copy of the data: containerd's template with the runtime nvidia among them."""
    before = gpus_of(site, keeper)
    lab.shell("n2", f"for end in snap assert; do curl -sSf -o /tmp/microk8s.$end {SNAP}.$end; done")
    for what, command in REFRESHES.items():
        lab.shell("n2", command, timeout=300)
        await_that(lambda: "True" in ready(site, "n2"), 180, f"n2 is Ready after a refresh {what}")
        await_that(lambda: gpus_of(site, keeper) == before, 60, f"{keeper} sees {before} after a refresh {what}")
        hold_a_gpu(site, "second")
        assert set(gpus_of(site, "second")).isdisjoint(before)
        pods.delete(site, "second")
    assert "runtimes.nvidia" in lab.shell("n2", "cat /var/snap/microk8s/current/args/containerd.toml")


DRIVER = (
    *("firmware-nvidia-gsp", "libcuda1", "libnvidia-ml1", "nvidia-driver-cuda", "nvidia-kernel-open-dkms"),
    *("nvidia-kernel-support", "nvidia-modprobe", "nvidia-persistenced"),
)


def put_driver(lab: Lab, host: str, version: str) -> None:
    """What an upgrade behind everybody's back does: packages of another version, and no reboot."""
    names = " ".join(f"{name}={version}-1" for name in DRIVER)
    apt = "DEBIAN_FRONTEND=noninteractive apt-get -qq -y --allow-downgrades --allow-change-held-packages"
    lab.shell(host, f"{apt} -o Dir::Etc::PreferencesParts=/nowhere install {names}", timeout=300)


@pytest.mark.soak
def test_a_driver_updated_without_a_reboot_is_found_by_its_name(site: Site, lab: Lab, keeper: str) -> None:
    """Pods that run go on; what starts now would say: Driver/library version mismatch."""
    before = gpus_of(site, keeper)
    try:
        put_driver(lab, "n2", "580.95.05")
        assert "version mismatch" in lab.shell("n2", "nvidia-smi 2>&1", check=False)
        assert gpus_of(site, keeper) == before
        run = site.play(playbook="playbooks/verify.yml")
        assert run.status != 0, run.tail
        [found] = [check for check in site.checks("failed") if check["name"] == "gpu_driver.installed_is_loaded"]
        assert found["host"] == "n2"
        assert found["observed"] == "loaded 580.126.09, installed 580.95.05, library 580.95.05"
        assert "reboot" in found["remedy"]
    finally:
        put_driver(lab, "n2", "580.126.09")
        lab.shell("n2", "systemctl restart nvidia-cdi-refresh.service")
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
