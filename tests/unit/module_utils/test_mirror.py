"""Mirrors that answer, and those that do not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from ansible.module_utils.groundwork.mirror import check, fetch


class Answer(BaseHTTPRequestHandler):
    """Answers with the status that the path names."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answer) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "fault"),
    [(200, ""), (401, ""), (403, ""), (404, "HTTP 404 Not Found"), (503, "HTTP 503 Service Unavailable")],
)
def test_answers(server: str, status: int, fault: str) -> None:
    assert fetch(f"{server}/{status}", 5) == fault


def test_nobody_listens() -> None:
    assert "refused" in fetch("http://127.0.0.1:1/", 5)


def test_no_url() -> None:
    assert "unknown url type" in fetch("mirror/charts", 5)


def test_a_file_is_no_mirror() -> None:
    assert "unknown url type" in fetch("file:///etc/hostname", 5)


def test_verdicts() -> None:
    asked = {"http://a/": "", "http://b/": "no route to host"}
    urls = {"site_mirror_charts_url": "http://a/", "site_mirror_snaps_url": "http://b/", "site_mirror_pypi_url": ""}
    found = {verdict.name: verdict for verdict in check(urls, 1, lambda url, _: asked[url])}
    assert {name: verdict.status for name, verdict in found.items()} == {
        "site.mirror_charts_answers": "ok",
        "site.mirror_snaps_answers": "failed",
        "site.mirror_pypi_answers": "skipped",
    }
    assert "site_mirror_snaps_url" in found["site.mirror_snaps_answers"].remedy
