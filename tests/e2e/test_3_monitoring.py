"""What Prometheus knows of nodes, GPUs and the pods that hold them, and tells those who have the password."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pods
import prometheus
import pytest
import yaml
from site_under_test import ROOT, Report, Site, await_that

NAMESPACE = "measured"
# A volume of n2's disk that a pod there holds together with a GPU.
VOLUME = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}}}
---
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {NAMESPACE}}}
spec:
  capacity: {{storage: 1Gi}}
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  local: {{path: /var/lib/{NAMESPACE}}}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: [n2]}}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: volume, namespace: {NAMESPACE}}}
spec:
  storageClassName: ""
  volumeName: {NAMESPACE}
  accessModes: [ReadWriteOnce]
  resources: {{requests: {{storage: 1Gi}}}}
"""


@pytest.fixture(scope="module", autouse=True)
def measured(site: Site) -> Iterator[None]:
    """A pod with a GPU and a volume, and a GPU of n3 that has had an Xid which is a program's fault."""
    lab = site.lab
    lab.shell("n2", f"mkdir -p /var/lib/{NAMESPACE}")
    pods.apply(site, *yaml.safe_load_all(VOLUME))
    pods.start(site, holder())
    lab("fault", "gpu-xid", "n3", "1", "13")
    yield
    lab("fault", "clear")
    prometheus.forget_xids(site, "n3")
    site.kubectl("delete", "namespace", NAMESPACE, timeout=180)
    site.kubectl("delete", "pv", NAMESPACE)


def holder() -> pods.Manifest:
    """A pod of n2 that holds a GPU and the volume."""
    mounted = {"volumeMounts": [{"name": "volume", "mountPath": "/volume"}]}
    volumes = [{"name": "volume", "persistentVolumeClaim": {"claimName": "volume"}}]
    return pods.pod(
        "holder", node="n2", resource="nvidia.com/gpu", namespace=NAMESPACE, container=mounted, volumes=volumes
    )


def test_the_report_tells_what_is_measured_and_where_people_see_it(site: Site, proved: Report) -> None:
    told = {name for name in proved.proofs if name.startswith("monitoring.")}
    assert {"monitoring.asks_who_is_there", "monitoring.targets_are_up", "monitoring.gpus_are_measured"} <= told
    assert proved.endpoints["Prometheus"].startswith(prometheus.of(site).url)


def queries() -> Iterator[Any]:
    """Every query of the dashboards, for all nodes, and what rules read beside them."""
    for path in sorted((ROOT / "roles/monitoring/files/dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for number, target in enumerate(panel["targets"]):
                expression = target["expr"].replace("$node", ".*")
                yield pytest.param(expression, id=f"{path.stem}: {panel['title']} {number}")
    for series in ("groundwork_gpu_up", "groundwork_pod_resources_up == 1", "DCGM_FI_DEV_CLOCKS_EVENT_REASONS"):
        yield pytest.param(series, id=series)
    yield pytest.param("prometheus_rule_evaluation_failures_total", id="rules")


@pytest.mark.parametrize("expression", queries())
def test_dashboards_and_rules_find_what_they_read(site: Site, expression: str) -> None:
    await_that(lambda: prometheus.query(site, expression), 180, f"data for {expression}")


def test_a_gpu_is_told_with_the_pod_that_holds_it(site: Site) -> None:
    def told() -> bool:
        found = prometheus.query(site, f'DCGM_FI_DEV_FB_USED{{Hostname="n2",namespace="{NAMESPACE}"}}')
        return [(each["namespace"], each["pod"], each["container"]) for each in found] == [
            (NAMESPACE, "holder", "main")
        ]

    await_that(told, 120, "DCGM_FI_DEV_FB_USED of n2 with the pod's names, once")
    every = prometheus.query(site, "group by (Hostname, UUID) (DCGM_FI_DEV_GPU_TEMP)")
    assert sorted(each["Hostname"] for each in every) == ["n2", "n2", "n3", "n3"]
    assert len({each["UUID"] for each in every}) == 4


def test_the_password_is_asked_for_over_a_trusted_connection_alone(site: Site) -> None:
    url = f"{prometheus.of(site).url}/api/v1/query?query=up"
    ca = str(site.artifacts / "ca.crt")
    told = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url]
    asked = {
        name: subprocess.run([*told, *words], capture_output=True, text=True, check=False)
        for name, words in {
            "no authority": [],
            "no password": ["--cacert", ca],
            "a wrong one": ["--cacert", ca, "-u", "groundwork:groundwork"],
        }.items()
    }
    assert {name: (done.returncode, done.stdout) for name, done in asked.items()} == {
        "no authority": (60, "000"),
        "no password": (0, "401"),
        "a wrong one": (0, "401"),
    }
