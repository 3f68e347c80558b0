"""What Prometheus knows of nodes, GPUs and the pods that hold them; what it tells people outside, and nobody else."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from ansible.module_utils.groundwork.prometheus.client import Client
from site_under_test import ROOT, Lab, Site, await_that

NAMESPACE = "measured"
IMAGE = "docker.io/library/python:3.11-slim-bookworm"
# A pod that holds a GPU of n2 and a volume of its disk, and one that holds nothing.
OBJECTS = f"""
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
---
apiVersion: v1
kind: Pod
metadata: {{name: holder, namespace: {NAMESPACE}}}
spec:
  nodeSelector: {{kubernetes.io/hostname: n2}}
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: {IMAGE}
      command: [python3, -c, import signal; signal.pause()]
      resources: {{limits: {{nvidia.com/gpu: 1}}}}
      volumeMounts: [{{name: volume, mountPath: /volume}}]
  volumes: [{{name: volume, persistentVolumeClaim: {{claimName: volume}}}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: stranger, namespace: {NAMESPACE}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: {IMAGE}
      command: [python3, -c, import signal; signal.pause()]
"""


def prometheus(site: Site) -> Client:
    """Prometheus as people outside have it: its URL, the password and the authority lie in the cluster's folder."""
    known = yaml.safe_load((site.artifacts / "monitoring.yml").read_text())
    authority = (site.artifacts / "ca.crt").read_text()
    return Client(known["url"], str(urlsplit(known["url"]).hostname), authority, known["username"], known["password"])


def query(site: Site, expression: str) -> list[dict[str, str]]:
    """The labels of the series that Prometheus has for an expression, each with its `value`."""
    found = prometheus(site).ask("query", query=expression)["result"]
    return [{**each["metric"], "value": each["value"][1]} for each in found]


@pytest.fixture(scope="module", autouse=True)
def measured(site: Site) -> Iterator[None]:
    """What OBJECTS says, and a GPU of n3 that has had an Xid which is a program's fault."""
    lab = site.lab
    lab.shell("n2", f"mkdir -p /var/lib/{NAMESPACE}")
    lab.shell("n1", f"/snap/bin/microk8s kubectl apply -f - << 'END'\n{OBJECTS}\nEND")
    pods = [f"pod/{name}" for name in ("holder", "stranger")]
    site.kubectl("wait", "-n", NAMESPACE, "--for=condition=Ready", *pods, "--timeout=120s", timeout=150)
    lab("fault", "gpu-xid", "n3", "1", "13")
    yield
    lab("fault", "clear")
    forget_xids(site, "n3")
    site.kubectl("delete", "namespace", NAMESPACE, timeout=180)
    site.kubectl("delete", "pv", NAMESPACE)


def forget_xids(site: Site, node: str) -> None:
    """End the node's GPU exporter, as runbooks say: the last Xid is told until then."""
    chosen = ["-l", "app.kubernetes.io/name=gpu-exporter", f"--field-selector=spec.nodeName={node}"]
    site.kubectl("delete", "pod", "-n", "monitoring", *chosen, timeout=120)


def test_every_node_and_gpu_is_measured_and_strangers_are_refused(site: Site) -> None:
    run = site.play(playbook="playbooks/verify.yml")
    assert run.status == 0, run.tail
    wanted = {
        "answers",
        "entrance_answers",
        "asks_who_is_there",
        "targets_are_up",
        "gpus_are_measured",
        "rules_evaluate",
    }
    assert {f"monitoring.{name}" for name in wanted} <= {check["name"] for check in site.checks("ok")}
    report = json.loads((site.artifacts / "report.json").read_text())
    assert report["endpoints"]["Prometheus"].startswith(prometheus(site).url)


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
    await_that(lambda: query(site, expression), 180, f"data for {expression}")


def test_a_gpu_is_told_with_the_pod_that_holds_it(site: Site) -> None:
    def told() -> bool:
        found = query(site, 'DCGM_FI_DEV_FB_USED{Hostname="n2",pod!=""}')
        return [(each["namespace"], each["pod"], each["container"]) for each in found] == [
            (NAMESPACE, "holder", "main")
        ]

    await_that(told, 120, "DCGM_FI_DEV_FB_USED of n2 with the pod's names, once")
    every = query(site, "group by (Hostname, UUID) (DCGM_FI_DEV_GPU_TEMP)")
    assert sorted(each["Hostname"] for each in every) == ["n2", "n2", "n3", "n3"]
    assert len({each["UUID"] for each in every}) == 4


# --- Doors ----------------------------------------------------------------------------------------------------------

KNOCK = r"""
import concurrent.futures, json, ssl, sys, urllib.error, urllib.request
trusting = ssl._create_unverified_context()
GET = ["/", "/metrics", "/probe?target=127.0.0.1:22", "/api/v1/query?query=up", "/-/healthy", "/debug/pprof/cmdline"]
ASKED = [("GET", path) for path in GET] + [("POST", "/-/quit"), ("POST", "/-/reload"), ("PUT", "/-/reload")]
def knock(door):
    method, url = door
    try:
        request = urllib.request.Request(url, method=method)
        return method, url, urllib.request.urlopen(request, timeout=6, context=trusting).status
    except urllib.error.HTTPError as error:
        return method, url, error.code
    except Exception as error:
        return method, url, str(error)
doors = [(method, f"{scheme}://{place}{path}")
         for place in sys.argv[1:] for scheme in ("https", "http") for method, path in ASKED]
with concurrent.futures.ThreadPoolExecutor(32) as pool:
    print(json.dumps(list(pool.map(knock, doors))))
"""
REFUSED = {
    400,  # words that are not encrypted, at a port that is
    401,
}


@dataclass(frozen=True)
class Doors:
    """Every port that monitoring opens, each `host:port`, as the cluster tells."""

    pods: dict[str, list[str]]
    services: list[str]
    nodes: list[str]

    @property
    def all(self) -> list[str]:
        """Their places, each once."""
        return sorted({place for places in self.pods.values() for place in places} | {*self.services, *self.nodes})


def doors(site: Site) -> Doors:
    found = {kind: json.loads(site.kubectl("get", kind, "-n", "monitoring", "-o", "json"))["items"] for kind in KINDS}
    pods: dict[str, list[str]] = {}
    for pod in found["pods"]:
        ports = [port["containerPort"] for each in pod["spec"]["containers"] for port in each.get("ports", ())]
        name = pod["metadata"]["labels"]["app.kubernetes.io/name"]
        pods.setdefault(name, []).extend(f"{pod['status']['podIP']}:{port}" for port in [*ports, 9115])
    services, entrances = [], []
    for service in found["services"]:
        for port in service["spec"]["ports"]:
            if service["spec"]["clusterIP"] != "None":
                services.append(f"{service['spec']['clusterIP']}:{port['port']}")
            entrances += [port["nodePort"]] if port.get("nodePort") else []
    hosts = [pod["status"]["hostIP"] for pod in found["pods"]]
    return Doors(pods, services, [f"{host}:{port}" for host in sorted(set(hosts)) for port in entrances])


KINDS = ("pods", "services")


def lets_in(answers: list[list[str | int]]) -> list[list[str | int]]:
    """Those who got anything but a refusal or silence."""
    return [each for each in answers if isinstance(each[2], int) and each[2] not in REFUSED]


def test_a_pod_of_another_namespace_gets_nothing_without_a_password(site: Site) -> None:
    found = doors(site)
    assert set(found.pods) == {"prometheus", "node-exporter", "gpu-exporter"}
    command = ["exec", "-n", NAMESPACE, "stranger", "--", "python3", "-c", KNOCK, *found.all]
    answers = json.loads(site.kubectl(*command, timeout=300))
    assert not lets_in(answers)
    asking = {urlsplit(str(url)).netloc for _, url, status in answers if status == 401}
    [place] = [place for place in found.pods["prometheus"] if place.endswith(":9090")]
    assert {place, *found.services, *found.nodes} <= asking, "the stranger has a way to what it may not read"
    assert asking.isdisjoint(found.pods["gpu-exporter"]), "only Prometheus has a way to the GPU exporters"


def test_somebody_outside_gets_nothing_without_a_password(site: Site) -> None:
    found = doors(site)
    command = [sys.executable, "-c", KNOCK, *found.all]
    answers = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout)
    assert not lets_in(answers)
    asking = {urlsplit(str(url)).netloc for _, url, status in answers if status == 401}
    exporters = {place for place in found.pods["node-exporter"] if place.endswith(":9100")}
    assert {*found.nodes, *exporters} == asking


def test_the_password_is_asked_for_over_a_trusted_connection_alone(site: Site) -> None:
    url = f"{prometheus(site).url}/api/v1/query?query=up"
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


# --- Secrets --------------------------------------------------------------------------------------------------------


def secrets(site: Site) -> list[str]:
    """Every text that must be nowhere: what the Secrets hold beside names and certificates, also in their encoding."""
    items = json.loads(site.kubectl("get", "secrets", "-n", "monitoring", "-o", "json"))["items"]
    items.append(json.loads(site.kubectl("get", "secret", "-n", "kube-system", "site-ca", "-o", "json")))
    found = []
    for item in items:
        for key, value in item["data"].items():
            text = base64.b64decode(value).decode()
            if key in {"password", "web.yml"}:
                found += [text.strip(), value]
            elif key == "tls.key":
                found += [text.splitlines()[1], value]
    hashed = [json.loads(text)["basic_auth_users"] for text in found if text.startswith("{")]
    return [*found, *(each for users in hashed for each in users.values())]


def test_passwords_and_keys_that_are_gone_are_made_again_and_no_log_has_them(site: Site) -> None:
    before = prometheus(site)
    for name in ("prometheus-web", "prometheus-tls", "node-exporter-web"):
        site.kubectl("delete", "secret", "-n", "monitoring", name)
    for words in (("--check",), ()):
        run = site.play("-vvv", "--diff", *words, playbook="playbooks/platform.yml")
        assert run.status == 0, run.tail
        assert sum(run.changed.values()) > 0, "it says what it does"
        hidden = [text for text in [*secrets(site), before.password] if text in run.output]
        assert not hidden
    assert prometheus(site).password != before.password
    assert query(site, "up")
    again = site.play(playbook="playbooks/platform.yml")
    assert set(again.changed.values()) == {0}, again.tail


def test_what_people_are_given_is_private_and_pods_do_not_log_it(site: Site) -> None:
    assert stat.S_IMODE((site.artifacts / "monitoring.yml").stat().st_mode) == 0o600
    said = site.kubectl("logs", "-n", "monitoring", "--all-containers", "--prefix", "--tail=-1", "-l", LABELLED)
    assert "prometheus" in said
    assert not [text for text in secrets(site) if text in said]


LABELLED = "app.kubernetes.io/name in (prometheus, node-exporter, gpu-exporter)"


# --- Alerts ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def mended(site: Site) -> Iterator[None]:
    """GPUs that are as new afterwards, hosts that run, and a device plugin that knows."""
    yield
    site.lab("fault", "clear")
    run = site.play(playbook="playbooks/kubernetes_gpu.yml")
    assert run.status == 0, run.tail


def firing(site: Site, *names: str) -> list[dict[str, str]]:
    return [each for each in query(site, 'ALERTS{alertstate="firing"}') if each["alertname"] in names]


@pytest.mark.usefixtures("mended")
def test_a_gpu_that_hangs_is_named_and_the_other_is_measured(site: Site, lab: Lab) -> None:
    lab("fault", "gpu-hang", "n3", "0")

    def named() -> bool:
        up = {each["gpu"]: each["value"] for each in query(site, 'groundwork_gpu_up{Hostname="n3"}')}
        warm = [each["gpu"] for each in query(site, 'DCGM_FI_DEV_GPU_TEMP{Hostname="n3"}')]
        return up == {"0": "0", "1": "1"} and warm == ["1"]

    await_that(named, 120, "groundwork_gpu_up 0 for GPU 0 of n3 alone, and the temperature of GPU 1")


@pytest.mark.usefixtures("mended")
def test_alerts_fire_for_a_lost_gpu_and_a_node_that_is_away_and_end_again(site: Site, lab: Lab) -> None:
    lab("fault", "gpu-lost", "n2", "0")
    lab("fault", "stop", "n3")
    names = ("GpuLost", "NodeNotReady", "KubeletDown")
    await_that(
        lambda: {each["alertname"] for each in firing(site, *names)} == set(names), 600, f"{', '.join(names)} fire"
    )
    alerts = {each["alertname"]: each for each in firing(site, *names)}
    assert alerts["GpuLost"].items() >= {"Hostname": "n2", "gpu": "0", "severity": "critical"}.items()
    assert alerts["GpuLost"]["UUID"].startswith("GPU-")
    assert alerts["NodeNotReady"]["severity"] == "critical"
    assert alerts["KubeletDown"].items() >= {"node": "n3", "severity": "critical"}.items()
    told = [rule for group in prometheus(site).ask("rules")["groups"] for rule in group["rules"]]
    pages = {rule["name"]: ROOT / rule["annotations"]["runbook"] for rule in told}
    assert all(pages[name].exists() for name in names)

    lab("fault", "clear")
    forget_xids(site, "n2")
    await_that(lambda: not firing(site, *names), 420, f"{', '.join(names)} end")
