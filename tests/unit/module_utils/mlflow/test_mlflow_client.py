"""Requests as they are sent, over TLS that is trusted by the site's authority alone."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.groundwork import certificates
from ansible.module_utils.groundwork.certificates import Pair
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.mlflow.client import Answer, Client, Login


class Echo(BaseHTTPRequestHandler):
    """Answers with what was asked; /missing with an error of MLflow's."""

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        told = {"method": self.command, "path": self.path, "headers": dict(self.headers)}
        told["body"] = self.rfile.read(length).decode()
        if missing := self.path == "/missing":
            told = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such run"}
        content = json.dumps(told).encode()
        self.send_response(404 if missing else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_PUT(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


class Quiet(ThreadingHTTPServer):
    """Says nothing of connections that end early."""

    def handle_error(self, *_words: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def authority() -> Pair:
    return certificates.make_authority("Groundwork")


@pytest.fixture
def endpoint(authority: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # which nobody is to go through
    made = certificates.make_server(authority, ["127.0.0.1"])
    for name, text in (("crt", made.certificate), ("key", made.key)):
        (tmp_path / name).write_text(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    with Quiet(("127.0.0.1", 0), Echo) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_request_says_who_asks_and_what(endpoint: str, authority: Pair) -> None:
    client = Client(endpoint, authority.certificate)
    login = Login("workloads-ray", "pass:word")
    asked: dict[str, Any] = client.ask(
        "POST", "/a", login, query={"q": "b c"}, content={"d": 1}, host="mlflow.svc"
    ).content
    assert (asked["method"], asked["path"], asked["body"]) == ("POST", "/a?q=b+c", '{"d": 1}')
    assert asked["headers"]["Host"] == "mlflow.svc"
    assert asked["headers"]["Content-Type"] == "application/json"
    assert asked["headers"]["Authorization"] == "Basic " + base64.b64encode(b"workloads-ray:pass:word").decode()


def test_a_stranger_says_nothing_of_himself(endpoint: str, authority: Pair) -> None:
    asked = Client(endpoint, authority.certificate).ask("PUT", "/a", None, body=b"word").content
    assert "Authorization" not in asked["headers"]
    assert asked["body"] == "word"
    assert asked["headers"]["Host"] == endpoint.removeprefix("https://")


def test_what_is_refused_is_an_answer(endpoint: str, authority: Pair) -> None:
    answer = Client(endpoint, authority.certificate).ask("GET", "/missing", None)
    assert (answer.good, str(answer)) == (False, "HTTP 404 no such run")


def test_another_authoritys_server_is_not_spoken_to(endpoint: str) -> None:
    other = certificates.make_authority("Another").certificate
    with pytest.raises(GroundworkError, match="CERTIFICATE_VERIFY_FAILED"):
        Client(endpoint, other).ask("GET", "/", Login("admin", "password"))


def test_nobody_there_is_an_error_with_a_remedy(authority: Pair) -> None:
    with pytest.raises(GroundworkError, match=r"MLflow does not answer at https://127\.0\.0\.1:9: ") as caught:
        Client("https://127.0.0.1:9", authority.certificate).ask("GET", "/", None)
    assert "kubectl logs" in caught.value.remedy


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[1]"])
def test_what_is_no_object_is_told_as_it_is(body: bytes) -> None:
    assert str(Answer(500, body)) == f"HTTP 500 {body.decode()}".strip()
