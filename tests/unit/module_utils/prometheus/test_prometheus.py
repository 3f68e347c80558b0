"""What Prometheus says of itself, judged; and asked by HTTP as its users ask."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.groundwork import certificates
from ansible.module_utils.groundwork.certificates import Pair
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes.cluster import Object
from ansible.module_utils.groundwork.prometheus.client import Client, find
from ansible.module_utils.groundwork.prometheus.verify import NAMES, Wanted, verify

WANTED = Wanted(["n1", "n2"], {"n2": ["GPU-a", "GPU-b"]})


def target(job: str, node: str, health: str = "up", error: str = "") -> dict[str, Any]:
    labels = {"job": job, "instance": node, "node": node}
    return {"labels": labels, "health": health, "lastError": error, "scrapeUrl": f"https://{node}:9100/metrics"}


class FakePrometheus:
    """A Prometheus that measures all of WANTED; a test takes something away."""

    def __init__(self) -> None:
        self.targets = [target(job, node) for job in ("node-exporter", "kubelet") for node in WANTED.nodes]
        self.gpus = [("n2", "GPU-a"), ("n2", "GPU-b")]
        self.rules: list[dict[str, Any]] = [{"name": "GpuLost", "health": "ok", "alerts": []}]
        self.statuses: dict[str, int] = {}
        self.entrance_port = 30909
        self.error: GroundworkError | None = None

    def ask(self, path: str, **_query: str) -> Any:
        if self.error:
            raise self.error
        series = [{"metric": {"node": node, "UUID": uuid}} for node, uuid in self.gpus]
        return {
            "status/buildinfo": {"version": "3.13.2"},
            "targets": {"activeTargets": self.targets},
            "rules": {"groups": [{"rules": self.rules}]},
            "query": {"result": series},
        }[path]

    def status_for_strangers(self, url: str = "") -> int:
        if url in self.statuses and not self.statuses[url]:
            raise GroundworkError(f"Nobody answers at {url}", "See its pod.")
        return self.statuses.get(url, 401)


@pytest.fixture
def prometheus() -> FakePrometheus:
    return FakePrometheus()


def judged(prometheus: FakePrometheus, wanted: Wanted = WANTED) -> dict[str, tuple[str, str]]:
    return {
        check.name.removeprefix("monitoring."): (check.status, check.observed) for check in verify(prometheus, wanted)
    }


def test_all_is_well(prometheus: FakePrometheus) -> None:
    found = judged(prometheus)
    assert list(found) == ["answers", *NAMES]
    assert {status for status, _ in found.values()} == {"ok"}
    assert found["answers"] == ("ok", "Prometheus 3.13.2")
    assert found["gpus_are_measured"] == ("ok", "2 GPUs")


def test_a_target_that_is_down_is_named_with_its_error(prometheus: FakePrometheus) -> None:
    prometheus.targets[1] = target("node-exporter", "n2", "down", "connection refused")
    assert judged(prometheus)["targets_are_up"] == ("failed", "node-exporter of n2: connection refused")


def test_a_target_that_was_not_asked_yet_is_not_up(prometheus: FakePrometheus) -> None:
    prometheus.targets[1] = target("node-exporter", "n2", "unknown")
    assert judged(prometheus)["targets_are_up"] == ("failed", "node-exporter of n2: not asked yet")


def test_nodes_that_took_no_part_and_gpu_exporters_are_judged_elsewhere(prometheus: FakePrometheus) -> None:
    prometheus.targets.append(target("kubelet", "n9", "down", "no route to host"))
    exporter = target("gpu-exporter", "10.1.2.3:9400", "down", "no route to host")
    del exporter["labels"]["node"]
    prometheus.targets.append(exporter)
    assert judged(prometheus)["targets_are_up"] == ("ok", "4 targets")


def test_a_node_without_a_target_is_named(prometheus: FakePrometheus) -> None:
    del prometheus.targets[3]
    assert judged(prometheus)["targets_are_up"] == ("failed", "kubelet of n2 is missing")


def test_a_gpu_that_is_not_measured_is_named(prometheus: FakePrometheus) -> None:
    prometheus.gpus = [("n2", "GPU-a"), ("n3", "GPU-b")]
    assert judged(prometheus)["gpus_are_measured"] == ("failed", "missing: GPU-b of n2")


def test_without_gpus_there_is_nothing_to_measure(prometheus: FakePrometheus) -> None:
    assert judged(prometheus, Wanted(["n1", "n2"], {"n2": []}))["gpus_are_measured"][0] == "skipped"


@pytest.mark.parametrize(("url", "who"), [("", "Prometheus"), ("https://n2:9100/metrics", "node-exporter on n2")])
def test_a_port_that_lets_strangers_in_is_named(prometheus: FakePrometheus, url: str, who: str) -> None:
    prometheus.statuses[url] = 200
    assert judged(prometheus)["asks_who_is_there"] == ("failed", f"{who} answers 200")


def test_an_entrance_that_does_not_answer_or_asks_nothing_is_named(prometheus: FakePrometheus) -> None:
    first, second = (f"https://{node}:30909/api/v1/query?query=up" for node in WANTED.nodes)
    prometheus.statuses |= {first: 200, second: 0}
    said = f"https://n1:30909 answers 200; Nobody answers at {second}"
    assert judged(prometheus)["entrance_answers"] == ("failed", said)


def test_a_site_may_have_no_entrance(prometheus: FakePrometheus) -> None:
    prometheus.entrance_port = 0
    assert judged(prometheus)["entrance_answers"][0] == "skipped"


def test_a_rule_that_fails_is_named(prometheus: FakePrometheus) -> None:
    prometheus.rules.append({"name": "GpuXid", "health": "err", "lastError": "many-to-many matching"})
    assert judged(prometheus)["rules_evaluate"] == ("failed", "GpuXid: many-to-many matching")


def test_no_rules_are_a_fault(prometheus: FakePrometheus) -> None:
    prometheus.rules = []
    assert judged(prometheus)["rules_evaluate"][0] == "failed"


def test_alerts_that_fire_are_something_to_look_at(prometheus: FakePrometheus) -> None:
    notes = {"summary": "GPU 0 of n2 does not answer", "runbook": "docs/runbooks/gpu-lost.md"}
    alerts = [{"state": "firing", "annotations": notes}, {"state": "pending", "annotations": {"summary": "another"}}]
    prometheus.rules = [{"name": "GpuLost", "health": "ok", "alerts": alerts}, {"name": "recorded", "health": "ok"}]
    check = verify(prometheus, WANTED)[-1]
    assert (check.status, check.observed) == ("warning", "GpuLost: GPU 0 of n2 does not answer")
    assert check.remedy == "See docs/runbooks/gpu-lost.md."


def test_a_prometheus_that_does_not_answer_fails_once(prometheus: FakePrometheus) -> None:
    prometheus.error = GroundworkError("Prometheus does not answer at http://x", "See its pod.")
    found = judged(prometheus)
    assert found.pop("answers") == ("failed", "Prometheus does not answer at http://x")
    assert {status for status, _ in found.values()} == {"skipped"}


class Web(BaseHTTPRequestHandler):
    """Asks for ada's password, as Prometheus does with --web.config.file."""

    def do_GET(self) -> None:
        wanted = f"Basic {base64.b64encode(b'ada:secret').decode()}"
        known = self.headers.get("Authorization") == wanted
        body = json.dumps({"status": "success", "data": {"path": self.path}} if "odd" not in self.path else []).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture(scope="module")
def authority() -> Pair:
    return certificates.make_authority("CA of a test")


@pytest.fixture
def client(authority: Pair, tmp_path: Path) -> Iterator[Client]:
    """A client of a web server whose certificate names prometheus.m.svc and 127.0.0.2, and not 127.0.0.1."""
    pair = certificates.make_server(authority, ["prometheus.m.svc", "127.0.0.2"])
    (tmp_path / "pair").write_text(pair.certificate + pair.key)
    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trusted.load_cert_chain(tmp_path / "pair")
    server = ThreadingHTTPServer(("", 0), Web)
    server.socket = trusted.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"https://127.0.0.1:{server.server_port}"
    yield Client(url, "prometheus.m.svc", authority.certificate, "ada", "secret", server.server_port)
    server.shutdown()
    server.server_close()


def test_prometheus_is_asked_with_the_password(client: Client) -> None:
    assert client.ask("query", query="up == 0") == {"path": "/api/v1/query?query=up+%3D%3D+0"}
    assert client.ask("rules") == {"path": "/api/v1/rules"}


def test_strangers_get_a_status(client: Client) -> None:
    assert client.status_for_strangers() == 401
    assert client.status_for_strangers(f"https://127.0.0.2:{client.entrance_port}/metrics") == 401


def test_a_certificate_of_somebody_else_is_not_trusted(client: Client) -> None:
    other = certificates.make_authority("CA of nobody")
    for stranger in (replace(client, authority=other.certificate), replace(client, name="grafana.m.svc")):
        with pytest.raises(GroundworkError, match="certificate verify failed"):
            stranger.ask("rules")
    with pytest.raises(GroundworkError, match="certificate verify failed"):
        client.status_for_strangers(f"https://127.0.0.3:{client.entrance_port}/metrics")


def test_refusals_and_silence_have_a_remedy(client: Client) -> None:
    with pytest.raises(GroundworkError, match="status 401") as caught:
        replace(client, username="bob").ask("rules")
    assert caught.value.remedy
    with pytest.raises(GroundworkError, match="does not answer odd"):
        client.ask("odd")
    nobody = replace(client, url="https://127.0.0.1:1")
    for call in (nobody.ask, nobody.status_for_strangers):
        with pytest.raises(GroundworkError, match="answer"):
            call("")


def test_the_password_is_not_shown(client: Client) -> None:
    assert "secret" not in repr(client)


class Cluster:
    """The three objects by which Prometheus is found."""

    def __init__(self, ports: dict[str, int]) -> None:
        self.objects: dict[str, Object] = {
            "services/prometheus": {"spec": {"clusterIP": "fd00::9", "ports": [ports]}},
            "secrets/prometheus-web": {"data": self._data("username", "password")},
            "secrets/prometheus-tls": {"metadata": {"name": "prometheus-tls"}, "data": self._data("ca.crt")},
        }

    def get(self, path: str, **_query: str) -> Object:
        return self.objects[path.removeprefix("/api/v1/namespaces/m/")]

    @staticmethod
    def _data(*keys: str) -> dict[str, str]:
        return {key: base64.b64encode(key[::-1].encode()).decode() for key in keys}


def test_prometheus_is_found_by_its_service_and_secrets() -> None:
    found = Client("https://[fd00::9]:9090", "prometheus.m.svc", "trc.ac", "emanresu", "drowssap", 30909)
    assert find(Cluster({"port": 9090, "nodePort": 30909}), "m") == found
    assert find(Cluster({"port": 9090}), "m") == replace(found, entrance_port=0)


def test_a_secret_without_its_text_has_a_remedy() -> None:
    cluster = Cluster({"port": 9090})
    cluster.objects["secrets/prometheus-tls"]["data"] = {}
    with pytest.raises(GroundworkError, match=r"prometheus-tls has no ca\.crt") as caught:
        find(cluster, "m")
    assert caught.value.remedy
