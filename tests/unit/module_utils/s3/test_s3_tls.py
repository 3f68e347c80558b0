"""An object store behind TLS: the site's authority is enough, and without it nothing is sent."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible.module_utils.groundwork import certificates
from ansible.module_utils.groundwork.certificates import Pair
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.s3.client import Client, Key
from ansible.module_utils.groundwork.s3.verify import look

KEY = Key("app", "secret")


class Gateway(BaseHTTPRequestHandler):
    """Answers everybody, and counts."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


class Quiet(ThreadingHTTPServer):
    """Says nothing of connections that end early: that is what these tests are about."""

    def handle_error(self, *_words: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def authority() -> Pair:
    return certificates.make_authority("Groundwork")


@pytest.fixture(params=["127.0.0.1"])
def endpoint(
    request: pytest.FixtureRequest, authority: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A gateway whose certificate is for the name that the parameter says."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    made = certificates.make_server(authority, [request.param])
    for name, text in (("crt", made.certificate), ("key", made.key)):
        (tmp_path / name).write_text(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    Gateway.asked = 0
    with Quiet(("127.0.0.1", 0), Gateway) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_sites_authority_is_enough(endpoint: str, authority: Pair) -> None:
    assert Client(endpoint, "r", authority.certificate).ask("GET", "/", KEY).status == 200


@pytest.mark.parametrize("known", ["", "another"])
def test_a_server_of_an_authority_that_is_not_known_is_sent_nothing(endpoint: str, known: str) -> None:
    other = certificates.make_authority(known).certificate if known else ""
    with pytest.raises(GroundworkError, match="certificate verify failed"):
        Client(endpoint, "r", other).ask("GET", "/", KEY)
    assert Gateway.asked == 0


@pytest.mark.parametrize("endpoint", ["192.0.2.1", "s3.example"], indirect=True)
def test_a_server_with_another_ones_certificate_is_sent_nothing(endpoint: str, authority: Pair) -> None:
    with pytest.raises(GroundworkError, match="IP address mismatch"):
        Client(endpoint, "r", authority.certificate).ask("GET", "/", KEY)
    assert Gateway.asked == 0


def test_preflight_tells_of_it_as_a_check(endpoint: str) -> None:
    answers, right = look(Client(endpoint, "r"), endpoint, KEY)
    assert (answers.status, right.status) == ("failed", "skipped")
    assert "certificate verify failed" in answers.observed
    assert "its authority's certificate" in answers.remedy


def test_plain_http_is_not_taken_for_tls(endpoint: str, authority: Pair) -> None:
    plain = endpoint.replace("https", "http")
    with pytest.raises(GroundworkError, match="does not answer"):
        Client(plain, "r", authority.certificate, 5.0).ask("GET", "/", KEY)
    assert Gateway.asked == 0
