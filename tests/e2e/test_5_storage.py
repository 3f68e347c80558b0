"""Storage as its users have it: a file written on one node is read on another, and none is lost on a host's disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from site_under_test import Lab, Site, await_that

IMAGE = "docker.io/library/python:3.11-slim-bookworm"
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data", "namespace": "default"},
    "spec": {
        "storageClassName": "shared",
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "1Mi"}},
    },
}


def pod(name: str, node: str, program: str) -> dict[str, Any]:
    """A pod that runs a program of Python on one node, with the volume at /data, as an ordinary user."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "restartPolicy": "Never",
            "securityContext": {"runAsUser": 1000, "runAsGroup": 1000},
            "containers": [
                {
                    "name": "main",
                    "image": IMAGE,
                    "command": ["python3", "-c", program],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        },
    }


def apply(site: Site, manifest: dict[str, Any]) -> None:
    site.lab.shell("n1", f"cat <<'EOF' | /snap/bin/microk8s kubectl apply -f -\n{json.dumps(manifest)}\nEOF")


def said(site: Site, name: str) -> str:
    """What a pod printed, once it has ended well."""
    ended = "--for=jsonpath={.status.phase}=Succeeded"
    site.kubectl("wait", ended, f"pod/{name}", "--timeout=120s", timeout=150)
    return site.kubectl("logs", name).strip()


@pytest.fixture
def claim(site: Site) -> Iterator[str]:
    """A claim of the shared class; its pods and its volume go at the end."""
    apply(site, CLAIM)
    yield "data"
    site.kubectl("delete", "pod", "writer", "reader", "waiting", "--ignore-not-found", "--wait=true", timeout=120)
    site.kubectl("delete", "pvc", "data", "--wait=true", timeout=120)
    await_that(lambda: "default/data" not in volumes(site), 120, "the volume's removal")


def volumes(site: Site) -> str:
    """The claims that volumes are bound to."""
    path = "{range .items[*]}{.spec.claimRef.namespace}/{.spec.claimRef.name} {end}"
    return site.kubectl("get", "pv", f"-o=jsonpath={path}")


@pytest.mark.usefixtures("claim")
def test_a_file_written_on_one_node_is_read_on_another(site: Site) -> None:
    program = "import os, pathlib; os.umask(0o077); p = pathlib.Path('/data/a/b'); p.mkdir(parents=True); "
    apply(site, pod("writer", "n2", f"{program}(p / 'word').write_text('kept')"))
    said(site, "writer")
    apply(site, pod("reader", "n3", "print(open('/data/a/b/word').read())"))
    assert said(site, "reader") == "kept"


def test_the_report_tells_who_root_is_and_what_was_proved(site: Site) -> None:
    found = {check["name"]: check["observed"] for check in site.checks("ok")}
    assert found["shared_storage.path_is_writable"] == "root becomes user 65534"
    assert "read on n1, n2, n3" in found["kubernetes_storage.shared_between_nodes"]
    assert "kubernetes_storage.outlives_its_pod" in found


@pytest.mark.usefixtures("site")
def test_nothing_is_left_of_the_probes(lab: Lab) -> None:
    assert lab.shell("n2", "ls -A /srv/shared").split() == []


@pytest.mark.usefixtures("claim")
def test_a_node_without_its_storage_starts_and_pods_wait_for_it(site: Site, lab: Lab) -> None:
    lab.shell("n1", "gluster --mode=script volume stop shared")
    try:
        lab("reboot", "n3")
        await_that(lambda: "True" in ready(site, "n3"), 180, "n3 is Ready without its storage")
        assert "cannot touch" in lab.shell("n3", "touch /srv/shared/lost 2>&1", check=False)
        apply(site, pod("waiting", "n3", "open('/data/word', 'w').write('kept'); print('done')"))
        await_that(lambda: "FailedMount" in events(site, "waiting"), 120, "the pod waits for its volume")
    finally:
        lab.shell("n1", "gluster volume start shared")
    assert said(site, "waiting") == "done"


def ready(site: Site, node: str) -> str:
    path = "{.status.conditions[?(@.type=='Ready')].status}"
    return site.kubectl("get", "node", node, f"-o=jsonpath={path}", check=False)


def events(site: Site, name: str) -> str:
    selector = f"involvedObject.name={name}"
    return site.kubectl("get", "events", f"--field-selector={selector}", "-o=jsonpath={.items[*].reason}", check=False)


def test_what_is_not_shared_is_refused_before_anything_is_changed(site: Site, lab: Lab) -> None:
    own = ("-e", "shared_storage_path=/srv/alone", "-e", "shared_storage_source=")
    run = site.play(*own, playbook="playbooks/preflight.yml")
    assert run.status != 0, run.tail
    assert "shared_storage.path_is_mounted" in run.output, run.tail
    for host in ("n1", "n2", "n3"):
        lab.shell(host, "mkdir -p /srv/alone && mount -t tmpfs alone /srv/alone")
    try:
        run = site.play(*own)
        assert run.status != 0, run.tail
        assert "shared_storage.path_is_shared" in run.output, run.tail
        assert set(run.changed.values()) <= {0}, run.tail
    finally:
        for host in ("n1", "n2", "n3"):
            lab.shell(host, "umount /srv/alone && rmdir /srv/alone")
