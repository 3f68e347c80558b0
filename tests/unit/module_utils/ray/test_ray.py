"""Ray as it answers with the token and without, and what a job of a proof says of its worker."""

from __future__ import annotations

import base64
import json
import ssl
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.groundwork import certificates
from ansible.module_utils.groundwork.check import Check
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes.cluster import Object
from ansible.module_utils.groundwork.ray import job_program
from ansible.module_utils.groundwork.ray.client import Answer, Client, find
from ansible.module_utils.groundwork.ray.verify import QUESTIONS, Wanted, look, prove
from ansible.module_utils.groundwork.waiting import Waiter

RIGHT = "t"
SAID = {"uuids": ["GPU-1"], "counted": 1.0, "on_head": False, "head": 0}
LISTED = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-2ae4f7c7-bf20-0c1e-4d71-2ba87e3a0c27)
  MIG 1g.10gb     Device  0: (UUID: MIG-4e0a3ef4-1b9b-5a3d-9d7c-3e1a3c1b6f10)
"""


class FakeRay:
    """A Ray that asks for the token and runs jobs at once; a test changes what it says."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.open: set[str] = set()
        self.away = 0
        self.state = {"status": "SUCCEEDED", "message": ""}
        self.said: dict[str, Any] = dict(SAID)

    def ask(self, method: str, path: str, token: str | None, body: Mapping[str, Any] | None = None) -> Answer:
        self.asked.append((method, path))
        if self.away:
            self.away -= 1
            raise GroundworkError("Nobody answers", "See the pods.")
        if token != RIGHT and path not in self.open:
            return Answer(401 if token is None else 403)
        name = path.removeprefix("/api/jobs/").split("/")[0]
        if path == "/api/version":
            return Answer(200, json.dumps({"ray_version": "2.60.0"}))
        if path == "/api/jobs/" and method == "POST" and body and "submission_id" in body:
            self.jobs[body["submission_id"]] = dict(body)
        elif path.endswith("/logs"):
            return Answer(200, json.dumps({"logs": f"starting\n{json.dumps(self.said)}\n"}))
        elif path.endswith("/stop"):
            self.state = {"status": "STOPPED", "message": ""}
        elif method == "DELETE":
            del self.jobs[name]
        return Answer(200, json.dumps(self.state))


@pytest.fixture
def ray() -> FakeRay:
    return FakeRay()


@pytest.fixture
def waiter() -> Waiter:
    ticks = iter(range(1000))
    return Waiter(5, clock=lambda: float(next(ticks)), pause=lambda _: None)


def proved(ray: FakeRay, waiter: Waiter, gpus: int = 1, room: bool = True) -> Check:
    [check] = prove(ray, RIGHT, Wanted(gpus, lambda: room), waiter)
    return check


def test_who_has_the_token_is_answered_and_nobody_else(ray: FakeRay, waiter: Waiter) -> None:
    answers, refuses = look(ray, RIGHT, waiter)
    assert (answers.status, answers.observed, refuses.status) == ("ok", "Ray 2.60.0", "ok")
    assert {(method, path) for method, path, _ in QUESTIONS} <= set(ray.asked)


def test_a_head_that_starts_is_waited_for(ray: FakeRay, waiter: Waiter) -> None:
    ray.away = 2
    assert [check.status for check in look(ray, RIGHT, waiter)] == ["ok", "ok"]


def test_a_head_that_stays_away_is_told(ray: FakeRay, waiter: Waiter) -> None:
    ray.away = 1000
    answers, refuses = look(ray, RIGHT, waiter)
    assert (answers.status, answers.observed, refuses.status) == ("failed", "HTTP 502 Nobody answers", "skipped")


def test_a_wrong_token_of_ours_is_told(ray: FakeRay, waiter: Waiter) -> None:
    answers, _ = look(ray, "old", waiter)
    assert (answers.status, answers.observed.strip()) == ("failed", "HTTP 403")


def test_what_strangers_may_do_is_named(ray: FakeRay, waiter: Waiter) -> None:
    ray.open = {"/api/jobs/"}
    _, refuses = look(ray, RIGHT, waiter)
    assert refuses.status == "failed"
    assert "POST /api/jobs/ without a token: HTTP 200" in refuses.observed
    assert "GET /api/jobs/ with a wrong one: HTTP 200" in refuses.observed


def test_a_job_names_its_gpu_and_is_removed(ray: FakeRay, waiter: Waiter) -> None:
    found = proved(ray, waiter)
    assert (found.status, found.observed) == ("ok", "a job saw GPU-1; the head has none")
    assert ray.jobs == {}


def test_a_worker_without_gpus_is_asked_for_by_a_processor(ray: FakeRay, waiter: Waiter) -> None:
    ray.said |= {"uuids": [], "counted": 0}
    assert proved(ray, waiter, gpus=0).observed == "a job saw no GPU; the head has none"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"uuids": ["GPU-1", "GPU-2"]}, "saw 2 GPUs and Ray counts 1"),
        ({"uuids": []}, "saw 0 GPUs"),
        ({"counted": 2}, "Ray counts 2"),
        ({"head": 2}, "the head has 2"),
        ({"on_head": True}, "a job on the head saw"),
    ],
)
def test_what_is_not_one_gpu_on_a_worker_fails(ray: FakeRay, waiter: Waiter, said: dict[str, Any], words: str) -> None:
    ray.said |= said
    found = proved(ray, waiter)
    assert (found.status, words in found.observed) == ("failed", True)


def test_a_job_that_fails_tells_its_last_lines(ray: FakeRay, waiter: Waiter) -> None:
    ray.state = {"status": "FAILED", "message": "exit code 1"}
    found = proved(ray, waiter)
    assert found.status == "failed"
    assert found.observed.startswith("FAILED: exit code 1\nstarting")


@pytest.mark.parametrize(
    ("status", "room", "verdict"),
    [("PENDING", [True, True], "failed"), ("PENDING", [True, False], "skipped"), ("RUNNING", [True, False], "failed")],
)
def test_a_job_that_does_not_end_is_ended_and_judged_by_what_is_free(
    ray: FakeRay, waiter: Waiter, status: str, room: list[bool], verdict: str
) -> None:
    ray.state = {"status": status, "message": "waiting"}
    free = iter(room)
    [found] = prove(ray, RIGHT, Wanted(1, lambda: next(free)), waiter)
    assert (found.status, ray.jobs) == (verdict, {})
    assert any(path.endswith("/stop") for _, path in ray.asked)


def test_without_a_free_gpu_no_job_is_sent(ray: FakeRay, waiter: Waiter) -> None:
    assert (proved(ray, waiter, room=False).status, ray.asked) == ("skipped", [])


def test_a_job_that_is_not_taken_is_told(ray: FakeRay, waiter: Waiter) -> None:
    [found] = prove(ray, "old", Wanted(1, lambda: True), waiter)
    assert (found.status, found.observed.strip()) == ("failed", "A job is not taken: HTTP 403")


@pytest.mark.parametrize(
    ("text", "uuids"),
    [
        (LISTED, ["MIG-4e0a3ef4-1b9b-5a3d-9d7c-3e1a3c1b6f10"]),
        (LISTED.splitlines()[0], ["GPU-2ae4f7c7-bf20-0c1e-4d71-2ba87e3a0c27"]),
        ("No devices were found", []),
    ],
)
def test_the_jobs_program_lists_devices(text: str, uuids: list[str]) -> None:
    assert job_program.listed(text) == uuids


def test_the_jobs_program_tells_of_its_worker_and_the_head(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [
        {"NodeID": "h", "Alive": True, "Resources": {"node:__internal_head__": 1.0}},
        {"NodeID": "w", "Alive": True, "Resources": {"GPU": 1.0}},
        {"NodeID": "gone", "Alive": False, "Resources": {"GPU": 8.0, "node:__internal_head__": 1.0}},
    ]
    context = SimpleNamespace(get_node_id=lambda: "w")
    library = SimpleNamespace(init=lambda **_: None, nodes=lambda: nodes, get_runtime_context=lambda: context)
    monkeypatch.setitem(sys.modules, "ray", library)
    monkeypatch.setattr(job_program, "seen", lambda: ["GPU-1"])
    job_program.main()
    assert json.loads(capsys.readouterr().out) == SAID


class Handler(BaseHTTPRequestHandler):
    """Answers with the token that it was told."""

    def do_GET(self) -> None:
        self.send_response(200 if self.headers["Authorization"] == "Bearer t" else 401)
        self.end_headers()
        self.wfile.write(b'{"status": "PENDING"}')

    def log_message(self, *_words: object) -> None:
        """Tests read no log."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """The port of a dashboard by TLS, and the authority of its certificate."""
    authority = certificates.make_authority("a site")
    pair = certificates.make_server(authority, ["127.0.0.1", "ray-entrance.ray.svc"])
    (tmp_path / "both.pem").write_text(pair.key + pair.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, authority.certificate
        server.shutdown()


class Cluster:
    """The entrance's Service and Secrets."""

    def __init__(self, port: dict[str, int], authority: str) -> None:
        self.port, self.authority = port, authority

    def get(self, path: str, **_query: str) -> Object:
        texts = {"ray-token": {"auth_token": RIGHT}, "ray-tls": {"ca.crt": self.authority}}
        name = path.rsplit("/", 1)[1]
        if name in texts:
            return {"data": {key: base64.b64encode(text.encode()).decode() for key, text in texts[name].items()}}
        return {"spec": {"clusterIP": "127.0.0.1", "ports": [self.port]}}


def test_the_entrance_is_asked_by_a_nodes_port_or_by_its_service(served: tuple[int, str]) -> None:
    port, authority = served
    for entrance in ({"port": 443, "nodePort": port}, {"port": port}):
        client, token = find(Cluster(entrance, authority), "ray", "127.0.0.1")
        assert client.ask("GET", "/api/jobs/a", token).fields == {"status": "PENDING"}
        assert client.ask("GET", "/api/jobs/a", None).status == 401


def test_who_is_not_the_authoritys_is_not_asked(served: tuple[int, str]) -> None:
    other = certificates.make_authority("another site").certificate
    with pytest.raises(GroundworkError, match="CERTIFICATE_VERIFY_FAILED"):
        Client("127.0.0.1", served[0], "127.0.0.1", other).ask("GET", "/", "t")


def test_a_secret_without_its_text_is_named() -> None:
    class Empty(Cluster):
        def get(self, path: str, **query: str) -> Object:
            found = super().get(path, **query)
            return found if "services" in path else {"metadata": {"name": "ray-tls"}}

    with pytest.raises(GroundworkError, match=r"The Secret ray-tls has no ca\.crt"):
        find(Empty({"port": 1}, ""), "ray", "n1")


@pytest.mark.parametrize("text", ["", "[]", "oops"])
def test_what_is_no_json_object_has_no_fields(text: str) -> None:
    assert Answer(200, text).fields == {}
