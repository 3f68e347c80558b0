"""A shared filesystem, probed by hosts that are folders: one for all of them, or one each."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.storage import mounts, probe
from ansible.module_utils.groundwork.storage.mounts import Mount
from ansible.module_utils.groundwork.storage.shared import Found, Stage

from tests.unit.module_utils.fakes import waiter

HOSTS = ("n1", "n2", "n3")
Verdicts = dict[str, list[tuple[str, str]]]
Change = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def _mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "find", lambda _: Mount("fuse.glusterfs", "n1:/shared", "rw"))
    monkeypatch.setattr(probe, "HOLD_SECONDS", 20.0)


def probed(folders: dict[str, Path], meanwhile: Change = lambda _stage, _host: None) -> Verdicts:
    """What each host says, all going through the stages together; `meanwhile` happens before a stage of a host."""
    words: dict[str, str] = {}
    faults: dict[str, list[str]] = {host: [] for host in folders}
    checks: dict[str, list[tuple[str, str]]] = {host: [] for host in folders}
    for name in ("begin", "look", "change", "end", "leave"):
        seen = dict(words)
        for host, folder in folders.items():
            meanwhile(name, host)
            stage = Stage(folder, host, words=seen, holder="n1", faults=faults[host])
            found: Found = getattr(stage, name)(waiter(3.0))
            checks[host] += [(check.status, check.observed) for check in found.checks]
            faults[host] = list(found.faults)
            words |= {host: found.word} if name == "begin" else {}
    return checks


def test_hosts_that_share_see_each_other_and_leave_nothing(tmp_path: Path) -> None:
    found = probed(dict.fromkeys(HOSTS, tmp_path))
    assert {host: [status for status, _ in checks] for host, checks in found.items()} == {
        host: ["ok", "ok", "ok"] for host in HOSTS
    }
    assert found["n1"][2][1] == "what n2, n3 wrote, renamed and deleted"
    assert found["n2"][2][1] == "what n1, n3 wrote, renamed and deleted, and the lock of n1"
    assert list(tmp_path.iterdir()) == []


def test_hosts_that_have_each_their_own_are_found_out(tmp_path: Path) -> None:
    folders = {host: tmp_path / host for host in HOSTS}
    for folder in folders.values():
        folder.mkdir()
    found = probed(folders)
    assert found["n1"][2] == ("failed", "what n2 writes is not seen; what n3 writes is not seen")
    assert [list(folder.iterdir()) for folder in folders.values()] == [[], [], []]


def test_a_copy_is_not_shared(tmp_path: Path) -> None:
    """Folders that something copies between hosts hold what was written, and miss what is renamed and deleted."""
    folders = {host: tmp_path / host for host in ("n1", "n2")}
    for folder in folders.values():
        folder.mkdir()

    def copy(stage: str, host: str) -> None:
        if (stage, host) == ("look", "n1"):
            for source, target in (("n1", "n2"), ("n2", "n1")):
                name = f"{probe.PREFIX}{source}"
                shutil.copytree(folders[source] / name, folders[target] / name)

    (status, said) = probed(folders, copy)["n2"][2]
    assert status == "failed"
    assert "a lock that n1 holds is not seen" in said
    assert "what n1 renames is not seen" in said
    assert "what n1 deletes is still seen" in said


def test_what_a_killed_run_left_is_taken_away(tmp_path: Path) -> None:
    left = tmp_path / f"{probe.PREFIX}n1"
    left.mkdir()
    (left / "moved").write_text("old")
    assert [status for status, _ in probed(dict.fromkeys(HOSTS, tmp_path))["n1"]] == ["ok", "ok", "ok"]


def test_root_that_may_not_write_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = Stage(tmp_path / "file", "n1").begin(waiter())
    checks = {check.name: check for check in found.checks}
    assert found.word == ""
    assert checks["shared_storage.path_is_writable"].observed == "root cannot write there: Not a directory"
    assert "65534" in checks["shared_storage.path_is_writable"].remedy


def test_the_user_that_root_becomes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe.Folder, "begin", lambda *_: probe.Begun("word", 65534))
    found = Stage(tmp_path, "n1").begin(waiter())
    assert found.checks[1].observed == "root becomes user 65534"


@pytest.mark.parametrize(
    ("mount", "source", "must", "status"),
    [
        (None, "", True, "failed"),
        (None, "n1:/shared", True, "failed"),
        (None, "n1:/shared", False, "skipped"),
        (Mount("nfs4", "other:/shared", "rw"), "n1:/shared", False, "failed"),
        (Mount("nfs4", "n1:/shared/", "rw"), "n1:/shared", True, "ok"),
    ],
)
def test_what_is_mounted_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mount: Mount | None, source: str, must: bool, status: str
) -> None:
    monkeypatch.setattr(mounts, "find", lambda _: mount)
    found = Stage(tmp_path, "n1", source=source, must_be_mounted=must).begin(waiter())
    assert found.checks[0].status == status
    assert bool(found.word) == (status == "ok")


def test_a_filesystem_that_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible.module_utils.groundwork.storage.shared.GRACE_SECONDS", 0.1)
    monkeypatch.setattr(probe.Folder, "begin", lambda *_: __import__("signal").pause())
    found = Stage(tmp_path, "n1").begin(waiter(0.1))
    assert "does not answer in 0.2 s" in found.checks[1].observed
