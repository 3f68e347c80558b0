"""The archive that is handed on: no secret in it, and what is missing is named."""

from __future__ import annotations

import base64
import json
import stat
import tarfile
from dataclasses import asdict
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.support.bundle import Bundle, checks, decode, pack
from ansible.module_utils.groundwork.support.collect import INDEX, Entry, Limits, add, collect, items, private

from tests.unit.module_utils.support.test_collect import contents

KNOWN = "kn0wn/To+The=Cluster"
LIMITS = Limits(10, 30, 10_000, 1_000_000)


def told(tmp_path: Path, name: str, *scripts: str) -> Path:
    declared = [{"name": f"{number}.txt", "argv": ["sh", "-c", script]} for number, script in enumerate(scripts)]
    path = tmp_path / f"{name}.tar.gz"
    collect(items(declared, LIMITS.bytes), {}, [], LIMITS, path)
    return path


def packed(
    tmp_path: Path, archives: dict[str, Path] | None = None, problems: dict[str, str] | None = None
) -> tuple[Bundle, dict[str, str]]:
    archives = {
        "hosts/n1": told(tmp_path, "n1", "echo hello", f"echo 'it said {KNOWN} and no more'"),
        **(archives or {}),
    }
    to = tmp_path / "to/support-bundle-lab-1.tar.gz"
    bundle = pack("lab", archives, problems or {}, [tmp_path / "report.json"], [KNOWN], to)
    return bundle, {name.partition("/")[2]: text for name, text in contents(bundle.path).items()}


def test_what_the_cluster_knows_is_not_in_it_in_any_form(tmp_path: Path) -> None:
    encoded = base64.b64encode(f"admin:{KNOWN}".encode()).decode()
    (tmp_path / "report.json").write_text(json.dumps({"said": KNOWN, "header": encoded}))
    bundle, files = packed(tmp_path)
    whole = json.dumps(files)
    assert KNOWN not in whole
    assert encoded[12:] not in whole
    assert files["hosts/n1/1.txt"] == "it said <removed: known> and no more\n"
    assert [entry.removed for part in bundle.parts for entry in part.entries] == [0, 1, 2]


def test_it_is_its_owners_alone_and_nothing_else_is_left(tmp_path: Path) -> None:
    bundle, _ = packed(tmp_path)
    assert stat.S_IMODE(bundle.path.stat().st_mode) == 0o600
    assert list(bundle.path.parent.iterdir()) == [bundle.path]


def test_the_index_says_what_is_missing_and_why(tmp_path: Path) -> None:
    bundle, files = packed(tmp_path, problems={"hosts/n2": f"no route <to> it; password={KNOWN}"})
    index = json.loads(files["index.json"])
    assert [(part["name"], part["problem"]) for part in index["parts"]] == [
        ("hosts/n1", ""),
        ("hosts/n2", "no route <to> it; password=<removed: known>"),
        ("controller", ""),
    ]
    assert "no route &lt;to&gt; it" in files["index.html"]
    assert '<a href="hosts/n1/0.txt">' in files["index.html"]
    assert "No such file" in files["index.html"]
    assert [check.status for check in checks(bundle)] == ["warning", "ok", "ok"]


def test_checks_name_what_hung_and_that_no_secret_was_known(tmp_path: Path) -> None:
    bundle = pack("lab", {}, {"cluster": "down"}, [], [], tmp_path / "b.tar.gz")
    assert {check.name: check.status for check in checks(bundle)} == {
        "support_bundle.all_parts_told": "warning",
        "support_bundle.commands_ended": "ok",
        "support_bundle.secrets_are_known": "warning",
    }


def test_a_part_that_cannot_be_read_stops_no_other(tmp_path: Path) -> None:
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(b"\x1f\x8bnothing of that kind")
    bundle, files = packed(tmp_path, archives={"hosts/n0": broken})
    assert {part.name: bool(part.problem) for part in bundle.parts} == {
        "hosts/n0": True,
        "hosts/n1": False,
        "controller": False,
    }
    assert files["hosts/n1/0.txt"] == "hello\n"


def test_names_that_lead_out_of_a_part_are_left_out(tmp_path: Path) -> None:
    evil = tmp_path / "evil.tar.gz"
    with private(evil) as tar:
        for name in ("../../etc/cron.d/x", "/etc/passwd", "good.txt"):
            add(tar, name, b"x\n")
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/shadow"
        tar.addfile(link)
        add(tar, INDEX, json.dumps([asdict(Entry("good.txt", "x", "collected", 2))]).encode())
    _, files = packed(tmp_path, archives={"hosts/n0": evil})
    assert [name for name in files if name.startswith("hosts/n0")] == ["hosts/n0/good.txt"]
    assert not any(".." in name for name in files)


def test_where_it_cannot_be_written_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GroundworkError, match="cannot be written"):
        pack("lab", {}, {}, [], [], tmp_path / "file/b.tar.gz")


def test_secrets_are_as_kubernetes_keeps_them() -> None:
    assert decode([base64.b64encode(b"text").decode(), base64.b64encode(b"\xff\xfe").decode(), "no base64!"]) == [
        "text"
    ]
