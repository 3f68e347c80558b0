"""Declared commands and files, each under a deadline: nothing stops the others, and no secret is written."""

from __future__ import annotations

import json
import stat
import sys
import tarfile
import time
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.support.collect import Entry, Limits, collect, items, run

LIMITS = Limits(seconds=10, all_seconds=30, bytes=1000, all_bytes=100_000)
PLANTED = "pl4nted-Zx9/Qk+77"


def contents(archive: Path) -> dict[str, str]:
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            assert stream is not None
            found[member.name] = stream.read().decode()
    return found


def collected(
    tmp_path: Path, *declared: dict[str, object], limits: Limits = LIMITS, secret: str = ""
) -> dict[str, Entry]:
    wanted = items(declared, limits.bytes)
    entries = collect(wanted, {}, [secret] if secret else [], limits, tmp_path / "out/host.tar.gz")
    return {entry.name: entry for entry in entries}


def shell(name: str, text: str) -> dict[str, object]:
    return {"name": name, "argv": ["sh", "-c", text]}


def test_each_item_says_what_came_of_it(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/a.toml").write_text("a = 1\n")
    found = collected(
        tmp_path,
        shell("said.txt", "echo said; echo beside >&2"),
        shell("nothing.txt", "true"),
        shell("failed.txt", "echo why; exit 3"),
        {"name": "missing.txt", "argv": ["no-such-program"]},
        {"name": "conf", "files": [f"{tmp_path}/conf.d/*", f"{tmp_path}/none.toml"]},
    )
    files = contents(tmp_path / "out/host.tar.gz")
    folder = f"conf{tmp_path}"
    assert {name: entry.status for name, entry in found.items()} == {
        "said.txt": "collected",
        "nothing.txt": "empty",
        "failed.txt": "failed",
        "missing.txt": "absent",
        f"{folder}/conf.d/a.toml": "collected",
        f"{folder}/none.toml": "absent",
    }
    assert files["said.txt"] == "said\nbeside\n"
    assert (files["failed.txt"], found["failed.txt"].note) == ("why\n", "exit status 3")
    assert files[f"{folder}/conf.d/a.toml"] == "a = 1\n"
    assert [entry["name"] for entry in json.loads(files["index.json"])] == list(found)


def test_a_command_that_hangs_costs_its_deadline_and_keeps_what_it_said(tmp_path: Path) -> None:
    limits = Limits(seconds=0.5, all_seconds=30, bytes=1000, all_bytes=100_000)
    began = time.monotonic()
    found = collected(
        tmp_path,
        shell("hangs.txt", "echo first; trap '' TERM; sleep 60; echo never"),
        shell("stays.txt", "exec >&- 2>&-; sleep 60"),
        shell("well.txt", "echo well"),
        limits=limits,
    )
    assert time.monotonic() - began < 10
    assert (found["hangs.txt"].status, found["well.txt"].status) == ("timed out", "collected")
    assert contents(tmp_path / "out/host.tar.gz")["hangs.txt"] == "first\n"
    assert found["stays.txt"].status == "failed"


def test_when_the_time_for_all_is_up_the_rest_is_named(tmp_path: Path) -> None:
    limits = Limits(seconds=5, all_seconds=0.3, bytes=1000, all_bytes=100_000)
    found = collected(tmp_path, *(shell(f"{number}.txt", "sleep 0.4") for number in range(8)), limits=limits)
    assert {entry.status for entry in found.values()} == {"timed out"}
    assert found["7.txt"].note == "not begun: the time for all was up"


def test_the_end_of_what_is_too_long_is_kept_by_whole_lines(tmp_path: Path) -> None:
    found = collected(tmp_path, shell("log.txt", "seq 1 5000"))
    lines = contents(tmp_path / "out/host.tar.gz")["log.txt"].splitlines()
    assert lines[-1] == "5000"
    assert lines == [str(number) for number in range(int(lines[0]), 5001)]
    assert "bytes are left out" in found["log.txt"].note
    assert len("\n".join(lines)) <= LIMITS.bytes


def test_what_is_more_than_the_hosts_share_is_named(tmp_path: Path) -> None:
    limits = Limits(seconds=10, all_seconds=30, bytes=1000, all_bytes=1200)
    found = collected(tmp_path, *(shell(f"{number}.txt", "seq 1 200") for number in range(3)), limits=limits)
    assert [entry.status for entry in found.values()] == ["collected", "left out", "left out"]


def test_what_is_planted_is_not_in_the_archive(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    known = tmp_path / "credentials/known_tokens.csv"
    known.write_text("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3,admin,admin\n")
    (tmp_path / "server.key").write_text("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n")
    (tmp_path / "app.env").write_text(f"DB_PASSWORD={PLANTED}\n")
    found = collected(
        tmp_path,
        shell("log.txt", f"echo 'token: {PLANTED}'; echo 'said MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3 alone'"),
        {"name": "files", "files": [f"{tmp_path}/*.key", str(known), f"{tmp_path}/app.env"]},
        secret=f"{tmp_path}/credentials/*",
    )
    text = json.dumps(contents(tmp_path / "out/host.tar.gz"))
    assert PLANTED not in text
    assert "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3" not in text
    assert "MIIE" not in text
    assert found["log.txt"].removed == 2
    assert [entry.status for entry in found.values()].count("refused") == 2


def test_a_link_to_a_key_is_refused_by_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "real.key").write_text("MIIE")
    (tmp_path / "harmless.txt").symlink_to(tmp_path / "real.key")
    found = collected(tmp_path, {"name": "files", "files": [f"{tmp_path}/*.txt"]})
    assert [entry.status for entry in found.values()] == ["refused"]


def test_the_archive_is_its_owners_alone(tmp_path: Path) -> None:
    collected(tmp_path, shell("a.txt", "true"))
    archive = tmp_path / "out/host.tar.gz"
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert stat.S_IMODE(archive.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "x.txt"},
        {"argv": ["true"]},
        {"name": "../x.txt", "argv": ["true"]},
        {"name": "/x.txt", "argv": ["true"]},
        {"name": "x.txt", "argv": ["true"], "files": ["/etc/hosts"]},
    ],
)
def test_what_is_no_item_is_refused_before_anything_is_run(wrong: dict[str, object]) -> None:
    with pytest.raises(GroundworkError, match="Not an item to collect"):
        items([shell("good.txt", "true"), wrong], 10)


def test_bytes_that_are_no_text_and_a_long_stream_pass() -> None:
    program = "import sys; sys.stdout.buffer.write(b'\\xff' * 5_000_000)"
    ran = run([sys.executable, "-c", program], 20, 4096)
    assert (len(ran.output), ran.left_out, ran.code) == (4096, 5_000_000 - 4096, 0)
