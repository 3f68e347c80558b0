"""Alerts, runbooks, dashboards and manifests of monitoring: what they name is there, and they say what is meant."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.groundwork import certificates
from ansible.module_utils.groundwork.kubernetes import basic_auth
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

from tests.unit.roles.manifests import unknown_fields

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles/monitoring"
HERE = Path(__file__).with_name("monitoring")
RULES = sorted((ROLE / "files/rules").glob("*.yml"))
DASHBOARDS = sorted((ROLE / "files/dashboards").glob("*.json"))
TESTS = sorted(HERE.glob("*.test.yml"))
WORDS = {"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool"}

PROMTOOL = shutil.which("promtool", path=f"{ROOT / '.cache/bin'}:{os.environ['PATH']}")

with_promtool = pytest.mark.skipif(not PROMTOOL, reason="promtool is missing: `script/setup --lab` fetches it")


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def promtool(*words: str | Path) -> None:
    done = subprocess.run([PROMTOOL or "promtool", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def alerts() -> list[dict[str, Any]]:
    return [rule for path in RULES for group in read(path)["groups"] for rule in group["rules"]]


def metrics(expression: str) -> set[str]:
    """The names of metrics in an expression of PromQL: identifiers that are no function, label, keyword or number."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    found = re.findall(r"(?<![\w.$])([a-zA-Z_:][\w:]*)\b(?!\s*\()", bare)
    return set(found) - WORDS


def exposed() -> set[str]:
    """The metrics that exporters really have: what they answered (tests/contract/monitoring/metrics), and ours."""
    lines = (line for path in (HERE / "metrics").glob("*.txt") for line in path.read_text().splitlines())
    return {line for line in lines if not line.startswith("#")} | set(ours())


def ours() -> set[str]:
    found: dict[str, Any] = runpy.run_path(str(ROOT / "images/gpu-exporter/gpu_exporter.py"), run_name="exporter")
    return set(found["METRICS"])


def queries() -> Iterator[tuple[str, str]]:
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']}", target["expr"].replace("$node", ".*")


def test_metrics_are_found_in_expressions() -> None:
    assert metrics('max by (a, b) (x_total{c=~"y", d!=""}[5m]) > 0 or on (e) rate(z[1h]) * 1e6') == {"x_total", "z"}
    assert metrics('absent(up{job="kubelet"}) unless time() - probe_x < 3.6e9') == {"up", "probe_x"}


@with_promtool
@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_rules_are_valid(path: Path) -> None:
    promtool("check", "rules", path)


@with_promtool
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_rules_fire_when_they_should(path: Path) -> None:
    promtool("test", "rules", path)


def test_every_alert_is_tested() -> None:
    tested = {
        case["alertname"]
        for path in TESTS
        for test in read(path)["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert {alert["alert"] for alert in alerts()} == tested


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_how_bad_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"warning", "critical"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook"}
    text = (ROOT / alert["annotations"]["runbook"]).read_text()
    assert text.startswith(f"# {alert['alert']}\n")
    for part in ("**What it means.**", "**What to look at**", "**What to do**"):
        assert part in text


def test_every_runbook_has_its_alert() -> None:
    pages = {f"docs/runbooks/{path.name}" for path in (ROOT / "docs/runbooks").glob("*.md")}
    assert pages == {alert["annotations"]["runbook"] for alert in alerts()}


def test_runbooks_lead_to_pages_that_exist() -> None:
    for page in (ROOT / "docs/runbooks").glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), (page.name, target)


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_rules_read_metrics_that_exist(alert: dict[str, Any]) -> None:
    assert metrics(alert["expr"]) - exposed() == set()


def test_dashboards_read_metrics_that_exist() -> None:
    for name, query in queries():
        assert metrics(query) - exposed() == set(), name


@with_promtool
def test_dashboards_have_queries_that_parse(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": query} for number, (_, query) in enumerate(queries())]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    promtool("check", "rules", file)


def test_dashboards_are_told_apart() -> None:
    found = [json.loads(path.read_text()) for path in DASHBOARDS]
    assert len({each["uid"] for each in found}) == len(found)
    for each in found:
        assert len({panel["id"] for panel in each["panels"]}) == len(each["panels"])
        assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in each["panels"])
        assert not [panel for panel in each["panels"] if panel["datasource"]["uid"] != "${datasource}"]


def test_both_gpu_exporters_have_what_is_read() -> None:
    """A rule or a dashboard serves both, or reads groundwork_… with something of DCGM's beside it."""
    fields = {line.split(",")[0] for line in (ROLE / "files/dcgm-counters.csv").read_text().splitlines()[1:]}
    wanted = {name for alert in alerts() for name in metrics(alert["expr"])}
    wanted |= {name for _, query in queries() for name in metrics(query)}
    wanted = {name for name in wanted if name.startswith("DCGM_")}
    assert wanted - fields == set()
    assert wanted - ours() == set()


# --- Manifests ------------------------------------------------------------------------------------------------------

VARIANTS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "with all that can be set": {
        "monitoring_gpu_exporter": "groundwork",
        "monitoring_storage_class": "local",
        "monitoring_alertmanagers": ["alerts:9093"],
        "monitoring_scrape_configs": [{"job_name": "mlflow", "static_configs": [{"targets": ["mlflow.mlflow:5000"]}]}],
        "monitoring_scrape_interval_seconds": 5,
        "monitoring_node_port": 0,
        "monitoring_names": ["metrics.example"],
    },
}


NODES = [
    {
        "metadata": {"name": "n1", "labels": {"node.kubernetes.io/microk8s-controlplane": "microk8s-controlplane"}},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": "n1"}]},
    },
    {
        "metadata": {"name": "n2", "labels": {"feature.node.kubernetes.io/pci-10de.present": "true"}},
        "status": {"addresses": [{"type": "Hostname", "address": "n2"}, {"type": "InternalIP", "address": "fd00::2"}]},
    },
]


def trusted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: trusted(each) for key, each in value.items()}
    if isinstance(value, list):
        return [trusted(each) for each in value]
    return trust_as_template(value) if isinstance(value, str) else value


class Rendered:
    """The role's templates, with its defaults and other values."""

    def __init__(self, values: dict[str, Any]) -> None:
        variables = read(ROLE / "defaults/main.yml") | read(ROLE / "vars/main.yml") | {"site_cluster_name": "lab"}
        variables["__monitoring_nodes"] = {"resources": NODES}
        seen = {
            "name": "n2",
            "gpus": ["GPU-a"],
            "resources": {"nvidia.com/gpu": [], "nvidia.com/mig-1g.10gb": ["MIG-b"]},
        }
        variables |= {
            "groups": {"gpu_nodes": ["n2", "n3"]},
            "hostvars": {"n2": {"__gpu_device_plugin_node": seen}, "n3": {}},
        }
        self.variables = trusted(variables | values) | {"ansible_search_path": [str(ROLE)], "role_path": str(ROLE)}
        loader = DataLoader()
        loader.set_basedir(str(ROLE))
        self.templar = Templar(loader=loader, variables=self.variables)

    @functools.cached_property
    def objects(self) -> list[dict[str, Any]]:
        namespace = yaml.safe_load(self.lookup("namespace.yml.j2"))
        found: list[dict[str, Any]] = self.templar.template(self.variables["__monitoring_objects"])
        return [namespace, *found]

    def lookup(self, name: str) -> str:
        expression = "{{ lookup('ansible.builtin.template', '" + name + "') }}"
        return str(self.templar.template(trust_as_template(expression)))

    def pods(self) -> Iterator[dict[str, Any]]:
        for each in self.objects:
            if each["kind"] in {"Deployment", "DaemonSet"}:
                yield each["spec"]["template"]


@pytest.fixture(scope="module", autouse=True)
def plugins() -> None:
    """Lookups, as a playbook has them."""
    init_plugin_loader()


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def rendered(request: pytest.FixtureRequest) -> Rendered:
    return Rendered(VARIANTS[request.param])


def test_manifests_are_objects_with_names_of_their_own(rendered: Rendered) -> None:
    found = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in rendered.objects]
    assert len(found) == len(set(found))
    assert {"Deployment", "DaemonSet", "NetworkPolicy", "ConfigMap", "ClusterRole"} <= {kind for kind, _, _ in found}


def test_fields_are_those_that_kubernetes_knows(rendered: Rendered) -> None:
    """Its client's models leave out what they do not know, and refuse what lacks something."""
    for each in rendered.objects:
        assert unknown_fields(each) == []


def test_images_are_pinned_and_limited(rendered: Rendered) -> None:
    for pod in rendered.pods():
        for container in pod["spec"]["containers"]:
            _, _, tag = container["image"].rpartition(":")
            assert tag not in {"", "latest"}
            assert container["image"].startswith(("docker.io/", "nvcr.io/"))
            assert {"requests", "limits"} <= set(container["resources"])
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]


def test_every_port_asks_who_is_there(rendered: Rendered) -> None:
    """By a password, or by a NetworkPolicy; what is in the host's network has none of the latter."""
    policies = [each for each in rendered.objects if each["kind"] == "NetworkPolicy"]
    guarded = {
        policy["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name") for policy in policies
    }
    assert None in guarded, "whatever is named by no policy is reached by nobody"
    for pod in rendered.pods():
        arguments = [word for container in pod["spec"]["containers"] for word in container.get("args", ())]
        asks = any(word.startswith("--web.config.file=") for word in arguments)
        assert asks or not pod["spec"].get("hostNetwork")
        assert asks or pod["metadata"]["labels"]["app.kubernetes.io/name"] == "gpu-exporter"
    [gpu] = [policy for policy in policies if policy["metadata"]["name"] == "gpu-exporter"]
    assert gpu["spec"]["ingress"][0]["from"], "a rule without `from` lets everybody in"


def test_people_reach_prometheus_by_one_port_where_there_is_an_entrance(rendered: Rendered) -> None:
    """Which is the one that its page names; whoever is called by another name is in the certificate too."""
    ports = {
        port.get("nodePort") for each in rendered.objects if each["kind"] == "Service" for port in each["spec"]["ports"]
    }
    entrance = rendered.variables["monitoring_node_port"]
    assert ports - {None} == ({entrance} if entrance else set())
    assert not entrance or f":{entrance}/" in (ROOT / "docs/monitoring.md").read_text()
    names = rendered.templar.template(rendered.variables["__monitoring_names"])
    assert {"10.0.0.1", "n1", "fd00::2", "localhost", *rendered.variables["monitoring_names"]} <= set(names)


def test_what_is_encrypted_has_its_certificate(rendered: Rendered) -> None:
    """Where the Secret with the web configuration says that it is."""
    for pod, name in ((each, each["metadata"]["labels"]["app.kubernetes.io/name"]) for each in rendered.pods()):
        if name == "gpu-exporter":
            continue
        volumes = {
            volume["secret"]["secretName"]: volume["name"] for volume in pod["spec"]["volumes"] if "secret" in volume
        }
        places = {mount["name"]: mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]}
        said = rendered.variables[f"__monitoring_{name.replace('-', '_')}_certificate"]
        assert places[volumes[f"{name}-tls"]] == said


def test_other_mig_devices_have_gpu_exporters_start_anew(rendered: Rendered) -> None:
    assert rendered.templar.template(rendered.variables["__monitoring_gpus"]) == {"n2": ["GPU-a"]}
    assert rendered.templar.template(rendered.variables["__monitoring_mig"]) == ["MIG-b"]
    [pod] = [each for each in rendered.pods() if each["metadata"]["labels"]["app.kubernetes.io/name"] == "gpu-exporter"]
    assert pod["metadata"]["annotations"]["groundwork/mig-devices"] == hashlib.sha256(b"MIG-b").hexdigest()


def test_secrets_are_mounted_for_their_readers_alone(rendered: Rendered) -> None:
    volumes = [volume for pod in rendered.pods() for volume in pod["spec"].get("volumes", ())]
    secrets = [volume["secret"] for volume in volumes if "secret" in volume]
    assert secrets
    assert all(secret["defaultMode"] == 0o440 and secret["items"] for secret in secrets)
    [node] = [pod for pod in rendered.pods() if pod["spec"].get("hostNetwork")]
    paths = [item["key"] for volume in node["spec"]["volumes"] for item in volume.get("secret", {}).get("items", ())]
    assert paths == ["web.yml", "tls.crt", "tls.key"], "the exporter needs the hash, not the password"


def test_the_series_that_are_kept_are_those_that_are_read(rendered: Rendered) -> None:
    """Of Kubernetes's thousands."""
    configuration = yaml.safe_load(rendered.lookup("prometheus_config.yml.j2"))
    kept = [rule["regex"] for job in configuration["scrape_configs"] for rule in job.get("metric_relabel_configs", ())]
    wanted = {name for alert in alerts() for name in metrics(alert["expr"])}
    wanted |= {name for _, query in queries() for name in metrics(query)}
    for name in wanted:
        if name.startswith(("kubelet_", "node_collector_")):
            assert any(re.fullmatch(regex, name) for regex in kept), name


def test_rules_reach_prometheus_unchanged(rendered: Rendered) -> None:
    """Alerts have braces of their own, which are not ours to fill in."""
    [configuration] = [
        each for each in rendered.objects if (each["kind"], each["metadata"]["name"]) == ("ConfigMap", "prometheus")
    ]
    for path in RULES:
        assert yaml.safe_load(configuration["data"][f"{path.stem}.rules.yml"]) == read(path)
    assert {f"{path.stem}.rules.yml" for path in RULES} < set(configuration["data"])


def test_dashboards_reach_grafana_unchanged(rendered: Rendered) -> None:
    [found] = [each for each in rendered.objects if each["metadata"]["name"] == "dashboards"]
    assert [json.loads(text) for text in found["data"].values()] == [
        json.loads(path.read_text()) for path in DASHBOARDS
    ]


def test_nodes_are_targets_by_their_names_and_addresses(rendered: Rendered) -> None:
    [found] = [each for each in rendered.objects if each["metadata"]["name"] == "targets"]
    files = {name: json.loads(text) for name, text in found["data"].items()}
    first, second = {"node": "n1", "instance": "n1"}, {"node": "n2", "instance": "n2", "gpus": "true"}
    assert files == {
        "apiserver.json": [{"targets": ["10.0.0.1:16443"], "labels": first}],
        "kubelet.json": [
            {"targets": ["10.0.0.1:10250"], "labels": first},
            {"targets": ["[fd00::2]:10250"], "labels": second},
        ],
        "node-exporter.json": [
            {"targets": ["10.0.0.1:9100"], "labels": first},
            {"targets": ["[fd00::2]:9100"], "labels": second},
        ],
    }
    configuration = rendered.lookup("prometheus_config.yml.j2")
    assert set(re.findall(r"/etc/prometheus/targets/([\w.-]+)", configuration)) == set(files)


@with_promtool
def test_prometheus_accepts_its_configuration(rendered: Rendered, tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text(rendered.lookup("prometheus_config.yml.j2"))
    promtool("check", "config", "--syntax-only", file)


def test_a_site_can_add_jobs(rendered: Rendered) -> None:
    names = [job["job_name"] for job in yaml.safe_load(rendered.lookup("prometheus_config.yml.j2"))["scrape_configs"]]
    assert names[:3] == ["prometheus", "node-exporter", "gpu-exporter"]
    assert names[9:] == [job["job_name"] for job in rendered.variables["monitoring_scrape_configs"]]
    assert len(set(names)) == len(names)


@with_promtool
def test_the_web_configuration_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    wanted = basic_auth.Wanted("monitoring", "prometheus-web", "groundwork", certificate=str(tmp_path))
    pair = certificates.make_server(certificates.make_authority("CA of a test"), ["prometheus.monitoring.svc"])
    (tmp_path / "tls.crt").write_text(pair.certificate)
    (tmp_path / "tls.key").write_text(pair.key)
    file.write_text(basic_auth.web_config(wanted, "$2b$10$9f9KrERfcTk5odx5YmK1QOo1tapUdRxM4UaNnhEYs7zif0vsHfCJW"))
    promtool("check", "web-config", file)


# --- The role -------------------------------------------------------------------------------------------------------


def test_remove_takes_away_what_is_outside_of_the_namespace(rendered: Rendered) -> None:
    namespace = rendered.variables["monitoring_namespace"]
    outside = {
        (each["kind"], each["metadata"]["name"])
        for each in rendered.objects
        if each["metadata"].get("namespace") != namespace and each["kind"] != "Namespace"
    }
    [removal] = [task for task in read(ROLE / "tasks/remove.yml") if "loop" in task]
    removed = {(item["kind"], item["name"]) for item in removal["loop"]}
    assert outside <= removed
