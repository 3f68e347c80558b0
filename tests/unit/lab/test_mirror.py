"""A mirror is ready when both of its servers answer, and says which does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from lab import mirror, paths
from lab.errors import LabError
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
    volumes = [option for option in mirror.arguments(LAB) if option.startswith("--volume=")]
    assert volumes
    assert all(volume.endswith(":ro") for volume in volumes)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror of one file, in a cache of its own, without a container."""
    monkeypatch.setattr(paths, "MIRROR", tmp_path / "mirror")
    monkeypatch.setattr(paths, "LABS", tmp_path / "labs")
    for verb in ("start", "stop"):
        monkeypatch.setattr(mirror, verb, lambda _lab: None)
    (tmp_path / "mirror/snaps").mkdir(parents=True)
    file = tmp_path / "mirror/snaps/microk8s.snap"
    file.write_bytes(b"whole")
    return file


def test_a_spoiled_file_is_served_in_this_lab_alone(served: Path) -> None:
    mirror.spoil(LAB, "snaps/microk8s.snap")
    copy = LAB.directory / "spoiled/snaps/microk8s.snap"
    assert (served.read_bytes(), copy.read_bytes()) == (b"whole", b"whol\x9a")
    assert f"--volume={copy}:/srv/mirror/snaps/microk8s.snap:ro" in mirror.arguments(LAB)
    mirror.mend(LAB)
    assert not any(str(copy) in option for option in mirror.arguments(LAB))


@pytest.mark.usefixtures("served")
def test_a_file_that_is_not_there_cannot_be_spoiled() -> None:
    with pytest.raises(LabError, match=r"no file 'snaps/other\.snap'"):
        mirror.spoil(LAB, "snaps/other.snap")
