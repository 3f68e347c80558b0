"""Requests to an object store, and their signatures."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.s3.client import Answer, Client, Key, authorization

# The key and the requests of https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
KEY = Key("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
COMMON = {
    "Host": "examplebucket.s3.amazonaws.com",
    "x-amz-content-sha256": EMPTY,
    "x-amz-date": "20130524T000000Z",
}


@pytest.mark.parametrize(
    ("path", "query", "headers", "signature"),
    [
        (
            "/test.txt",
            "",
            {"Range": "bytes=0-9"},
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        ("/", "lifecycle=", {}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("/", "max-keys=2&prefix=J", {}, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)
def test_signatures_are_those_of_the_documentation(
    path: str, query: str, headers: dict[str, str], signature: str
) -> None:
    found = authorization(KEY, "us-east-1", "GET", path, query, {**COMMON, **headers})
    assert found.endswith(f"Signature={signature}")
    assert found.startswith("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, ")


def test_a_secret_is_not_shown() -> None:
    assert "wJalr" not in repr(KEY)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>", "NoSuchBucket"),
        (b'<Error xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Code>AccessDenied</Code></Error>', "AccessDenied"),
        (b"", ""),
        (b"<html>", ""),
    ],
)
def test_an_error_is_told_by_its_code(body: bytes, code: str) -> None:
    assert Answer(404, body).code == code


class Recorder(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    asked: list[tuple[str, str, dict[str, str]]]

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        type(self).asked.append((self.command, self.path, dict(self.headers)))
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def do_GET(self) -> None:
        self.answer()

    def do_PUT(self) -> None:
        self.answer()

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@pytest.fixture
def store() -> Iterator[tuple[Client, list[tuple[str, str, dict[str, str]]]]]:
    Recorder.asked = []
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Client(f"http://127.0.0.1:{server.server_port}", "r", now=lambda: moment), Recorder.asked
        server.shutdown()
        thread.join()


def test_a_request_is_sent_as_it_is_signed(
    store: tuple[Client, list[tuple[str, str, dict[str, str]]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    client, asked = store
    answer = client.ask("PUT", "/b/ä b", KEY, query={"b": "1 2", "a": ""}, body=b"x")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"ok", "2")
    assert client.ask("GET", "/none", None).status == 404
    (method, path, headers), (_method, _path, unsigned) = asked
    assert (method, path) == ("PUT", "/b/%C3%A4%20b?a=&b=1%202")
    assert (headers["X-Amz-Date"], "Authorization" in unsigned) == ("20260102T030405Z", False)
    assert "SignedHeaders=host;x-amz-content-sha256;x-amz-date," in headers["Authorization"]


@pytest.mark.parametrize(
    ("endpoint", "authority"),
    [("http://127.0.0.1:9", ""), ("nonsense", ""), ("https://127.0.0.1:9", "no certificate")],
)
def test_what_does_not_answer_is_named(endpoint: str, authority: str) -> None:
    with pytest.raises(GroundworkError, match=f"{endpoint} does not answer"):
        Client(endpoint, "r", authority, 5.0).ask("GET", "/", KEY)
