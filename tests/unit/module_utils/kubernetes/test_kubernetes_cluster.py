"""The API server by its real client, against a small server of our own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes import cluster as module
from ansible.module_utils.groundwork.kubernetes.cluster import Client, KubernetesError, answer


class Api(BaseHTTPRequestHandler):
    """Answers as an API server would, and remembers what it was asked."""

    asked: list[tuple[str, str, object]]

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_request(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.asked.append((self.command, self.path, body))
        if self.path.startswith("/forbidden"):
            self._answer(403, {"kind": "Status", "message": 'pods is forbidden: User "ada" cannot list'})
        elif self.path.startswith("/absent"):
            self._answer(404, {"kind": "Status", "message": "not found"})
        else:
            self._answer(200, {"items": [{"metadata": {"name": "n1"}}], "got": body})

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Silence."""


for verb in ("GET", "POST", "DELETE"):
    setattr(Api, f"do_{verb}", Api.handle_request)


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    Api.asked = []
    with HTTPServer(("127.0.0.1", 0), Api) as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def kubeconfig(tmp_path: Path, server: HTTPServer) -> Path:
    path = tmp_path / "client.config"
    path.write_text(config(f"http://127.0.0.1:{server.server_address[1]}"))
    return path


def config(url: str) -> str:
    return json.dumps({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "microk8s-cluster", "cluster": {"server": url}}],
        "users": [{"name": "admin", "user": {"token": "secret"}}],
        "contexts": [{"name": "microk8s", "context": {"cluster": "microk8s-cluster", "user": "admin"}}],
        "current-context": "microk8s",
    })  # fmt: skip


def test_objects_are_plain_dictionaries(kubeconfig: Path) -> None:
    client = Client(str(kubeconfig), ["verify"])
    assert client.get("/api/v1/nodes")["items"][0]["metadata"]["name"] == "n1"
    assert client.create("/api/v1/pods", {"kind": "Pod"})["got"] == {"kind": "Pod"}


def test_queries_and_bodies_arrive(kubeconfig: Path) -> None:
    client = Client(str(kubeconfig), ["verify"])
    client.get("/api/v1/pods", fieldSelector="status.phase!=Failed")
    client.delete("/api/v1/namespaces/x")
    assert [(method, path) for method, path, _ in Api.asked] == [
        ("GET", "/api/v1/pods?fieldSelector=status.phase%21%3DFailed"),
        ("DELETE", "/api/v1/namespaces/x?propagationPolicy=Background"),
    ]


def test_a_refusal_tells_the_servers_words_and_status(kubeconfig: Path) -> None:
    with pytest.raises(KubernetesError, match='GET /forbidden: pods is forbidden: User "ada" cannot list') as refused:
        Client(str(kubeconfig), ["verify"]).get("/forbidden")
    assert refused.value.status == 403


def test_deleting_what_is_not_there_is_fine(kubeconfig: Path) -> None:
    Client(str(kubeconfig), ["verify"]).delete("/absent")


def test_deleting_what_one_may_not_is_not(kubeconfig: Path) -> None:
    with pytest.raises(KubernetesError):
        Client(str(kubeconfig), ["verify"]).delete("/forbidden")


def test_a_server_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUEST_SECONDS", 0.2)
    path = tmp_path / "client.config"
    path.write_text(config("http://127.0.0.1:9"))
    with pytest.raises(KubernetesError) as refused:
        Client(str(path), ["verify"]).get("/api/v1/nodes")
    assert (refused.value.status, "microk8s status" in refused.value.remedy) == (0, True)


def test_a_pod_that_cannot_be_asked_is_an_answer(kubeconfig: Path) -> None:
    found = Client(str(kubeconfig), ["verify"]).ask("proof", "gpu-n2-0", ["gpus"], 2)
    assert found["error"].startswith("exec in gpu-n2-0: ")


@pytest.mark.parametrize("text", ["", "nothing: [", "kind: Config\n"])
def test_without_a_kubeconfig_the_error_names_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "client.config"
    if text:
        path.write_text(text)
    with pytest.raises(GroundworkError, match=r"client\.config") as refused:
        Client(str(path), ["verify"])
    assert "admin host" in refused.value.remedy


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "kubernetes", None)
    with pytest.raises(GroundworkError, match="no kubernetes client") as refused:
        Client("/nonexistent", ["verify"])
    assert "site_venv" in refused.value.remedy


@pytest.mark.parametrize(
    ("stdout", "stderr", "wanted"),
    [
        ('{"gpus": []}\n', "", {"gpus": []}),
        ('a warning\n{"gpus": []}\n', "more\n", {"gpus": []}),
        ("", "exec: not found\n", {"error": "exec: not found"}),
        ("not json\n", "", {"error": "not json"}),
        ("", "", {"error": "no answer"}),
    ],
)
def test_the_last_line_is_the_answer(stdout: str, stderr: str, wanted: dict[str, object]) -> None:
    assert answer(stdout, stderr) == wanted
