"""What Prometheus says of itself, judged; and asked by HTTP as its users ask."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes.cluster import Object
from ansible.module_utils.groundwork.prometheus.client import Client, find
from ansible.module_utils.groundwork.prometheus.verify import NAMES, Wanted, verify

WANTED = Wanted(["n1", "n2"], {"n2": ["GPU-a", "GPU-b"]})


def target(job: str, node: str, health: str = "up", error: str = "") -> dict[str, Any]:
    labels = {"job": job, "instance": node, "node": node}
    return {"labels": labels, "health": health, "lastError": error, "scrapeUrl": f"http://{node}:9100/metrics"}


class FakePrometheus:
    """A Prometheus that measures all of WANTED; a test takes something away."""

    def __init__(self) -> None:
        self.targets = [target(job, node) for job in ("node-exporter", "kubelet") for node in WANTED.nodes]
        self.gpus = [("n2", "GPU-a"), ("n2", "GPU-b")]
        self.rules: list[dict[str, Any]] = [{"name": "GpuLost", "health": "ok", "alerts": []}]
        self.statuses: dict[str, int] = {}
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


@pytest.mark.parametrize(("url", "who"), [("", "Prometheus"), ("http://n2:9100/metrics", "node-exporter on n2")])
def test_a_port_that_lets_strangers_in_is_named(prometheus: FakePrometheus, url: str, who: str) -> None:
    prometheus.statuses[url] = 200
    assert judged(prometheus)["asks_who_is_there"] == ("failed", f"{who} answers 200")


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


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_prometheus_is_asked_with_the_password(url: str) -> None:
    assert Client(url, "ada", "secret").ask("query", query="up == 0") == {"path": "/api/v1/query?query=up+%3D%3D+0"}
    assert Client(url, "ada", "secret").ask("rules") == {"path": "/api/v1/rules"}


def test_strangers_get_a_status(url: str) -> None:
    assert Client(url, "ada", "secret").status_for_strangers() == 401
    assert Client(url, "ada", "secret").status_for_strangers(f"{url}/metrics") == 401


def test_refusals_and_silence_have_a_remedy(url: str) -> None:
    with pytest.raises(GroundworkError, match="status 401") as caught:
        Client(url, "ada", "wrong").ask("rules")
    assert caught.value.remedy
    with pytest.raises(GroundworkError, match="does not answer"):
        Client(url, "ada", "secret").ask("odd")
    for call in (
        Client("http://127.0.0.1:1", "a", "b").ask,
        Client("http://127.0.0.1:1", "a", "b").status_for_strangers,
    ):
        with pytest.raises(GroundworkError, match="answer"):
            call("")


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(Client("http://x", "ada", "secret"))


def test_prometheus_is_found_by_its_service_and_secret() -> None:
    class Cluster:
        def get(self, path: str, **_query: str) -> Object:
            data = {key: base64.b64encode(key[::-1].encode()).decode() for key in ("username", "password")}
            objects: dict[str, Object] = {
                "/api/v1/namespaces/m/services/prometheus": {"spec": {"clusterIP": "fd00::9"}},
                "/api/v1/namespaces/m/secrets/prometheus-web": {"data": data},
            }
            return objects[path]

    assert find(Cluster(), "m", "prometheus", "prometheus-web") == Client(
        "http://[fd00::9]:9090", "emanresu", "drowssap"
    )
