"""A mirror is ready when both of its servers answer, and says which does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from lab import mirror
from lab.model import Lab

LAB = Lab("test", "10.77.9.0/24")


class Answer(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answer) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


def test_its_address_is_the_second_of_the_network() -> None:
    assert mirror.address(LAB) == "http://10.77.9.2"


def test_a_server_that_answers_is_not_missing(server: str) -> None:
    assert mirror.unanswered(server) == ""


def test_an_error_is_no_answer(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answer, "status", 500)
    assert "500" in mirror.unanswered(server)


def test_silence_names_the_address() -> None:
    with HTTPServer(("127.0.0.1", 0), Answer) as closed:
        url = f"http://127.0.0.1:{closed.server_port}/"
    assert mirror.unanswered(url).startswith(f"{url} does not answer")


@pytest.mark.parametrize("silent", [set(), {"http://10.77.9.2/"}, {"http://10.77.9.2/", "http://10.77.9.2:5000/v2/"}])
def test_what_is_missing_is_named(silent: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "unanswered", lambda url: url if url in silent else "")
    assert mirror.missing(LAB) == " and ".join(sorted(silent))


def test_it_writes_nothing_where_it_reads() -> None:
    volumes = [option for option in mirror.arguments() if option.startswith("--volume=")]
    assert volumes
    assert all(volume.endswith(":ro") for volume in volumes)
