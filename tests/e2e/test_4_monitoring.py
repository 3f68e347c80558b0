"""What Prometheus knows of GPUs and the pods that hold them, asked with the password that people are given."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import yaml
from site_under_test import Lab, Site, await_that

POD = """
apiVersion: v1
kind: Pod
metadata: {name: measured, namespace: default}
spec:
  nodeSelector: {kubernetes.io/hostname: n2}
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: docker.io/groundwork/verify:1
      args: [sleep]
      resources: {limits: {nvidia.com/gpu: 1}}
"""


def query(site: Site, expression: str, password: bool = True) -> list[dict[str, str]]:
    """The labels of the series that Prometheus has for an expression, each with its `value`."""
    address = site.kubectl("get", "service", "-n", "monitoring", "prometheus", "-o", "jsonpath={.spec.clusterIP}")
    known = yaml.safe_load((site.artifacts / "monitoring.yml").read_text())
    user = f"-u '{known['username']}:{known['password']}'" if password else ""
    answer = site.lab.shell("n1", f"curl -sf {user} 'http://{address}:9090/api/v1/query?query={quote(expression)}'")
    return [{**each["metric"], "value": each["value"][1]} for each in json.loads(answer)["data"]["result"]]


@pytest.fixture
def measured(site: Site) -> Iterator[None]:
    """A pod that holds one GPU of n2."""
    site.lab.shell("n1", f"echo '{POD}' | /snap/bin/microk8s kubectl apply -f -")
    site.kubectl("wait", "--for=condition=Ready", "pod/measured", "--timeout=90s", timeout=120)
    yield
    site.kubectl("delete", "pod", "measured", "--ignore-not-found", "--wait=true")


@pytest.fixture
def mended(lab: Lab) -> Iterator[None]:
    """GPUs that are as new afterwards."""
    yield
    lab("fault", "clear")


def test_every_node_and_gpu_is_measured_and_strangers_are_refused(site: Site) -> None:
    run = site.play(playbook="playbooks/verify.yml")
    assert run.status == 0, run.tail
    wanted = {"answers", "asks_who_is_there", "targets_are_up", "gpus_are_measured", "rules_evaluate"}
    assert {f"monitoring.{name}" for name in wanted} <= {check["name"] for check in site.checks("ok")}


READ = (
    "node_collector_unhealthy_nodes_in_zone",
    "kubelet_running_pods",
    "node_filesystem_avail_bytes",
    "node_network_receive_bytes_total",
    "probe_ssl_earliest_cert_expiry",
    "prometheus_rule_evaluation_failures_total",
    "groundwork_gpu_up",
    "groundwork_pod_resources_up == 1",
    "DCGM_FI_DEV_XID_ERRORS",
    "DCGM_FI_DEV_CLOCKS_EVENT_REASONS",
    "DCGM_FI_DEV_ROW_REMAP_PENDING",
)


@pytest.mark.parametrize("series", READ)
def test_rules_and_dashboards_find_what_they_read(site: Site, series: str) -> None:
    assert query(site, series), f"Prometheus has no {series}"


def test_the_password_is_private_and_no_log_has_it(site: Site) -> None:
    path = site.artifacts / "monitoring.yml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    run = site.play("-vvv", "--diff", playbook="playbooks/platform.yml")
    assert run.status == 0, run.tail
    assert yaml.safe_load(path.read_text())["password"] not in run.output


@pytest.mark.usefixtures("measured")
def test_a_gpu_is_told_with_the_pod_that_holds_it(site: Site) -> None:
    def told() -> bool:
        found = query(site, 'DCGM_FI_DEV_FB_USED{Hostname="n2",pod!=""}')
        return [(each["namespace"], each["pod"], each["container"]) for each in found] == [
            ("default", "measured", "main")
        ]

    await_that(told, 120, "DCGM_FI_DEV_FB_USED of n2 with the pod's names, once")


@pytest.mark.usefixtures("mended")
def test_a_gpu_that_hangs_is_named_and_the_other_is_measured(site: Site, lab: Lab) -> None:
    lab("fault", "gpu-hang", "n3", "0")

    def named() -> bool:
        up = {each["gpu"]: each["value"] for each in query(site, 'groundwork_gpu_up{Hostname="n3"}')}
        warm = [each["gpu"] for each in query(site, 'DCGM_FI_DEV_GPU_TEMP{Hostname="n3"}')]
        return up == {"0": "0", "1": "1"} and warm == ["1"]

    await_that(named, 120, "groundwork_gpu_up 0 for GPU 0 of n3 alone, and the temperature of GPU 1")
    assert query(site, 'ALERTS{alertname="GpuLost",Hostname="n3",gpu="0"}'), (
        "the alert waits for its two minutes at least"
    )
