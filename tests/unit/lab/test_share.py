"""A lab's network filesystem: what is said to the host that serves it, and what the lab remembers."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import hosts, model, paths, share
from lab.errors import LabError
from lab.model import Host, Lab


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(paths, "LABS", tmp_path)
    monkeypatch.setattr(hosts, "ssh", lambda _lab, host: ["ssh", host.name])
    made = Lab(
        "one", "10.77.4.0/24", hosts=(Host("n1", "debian-12", "10.77.4.11"), Host("n2", "debian-12", "10.77.4.12"))
    )
    made.save()
    return made


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was run on hosts."""
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(share, "run", lambda command, **options: seen.append({"command": command, **options}))
    return seen


def test_the_lab_remembers_who_serves_and_its_inventory_mounts_it(lab: Lab, said: list[dict[str, Any]]) -> None:
    assert share.serve(lab, "n1").share == "n1"
    assert model.existing("one").share == "n1"
    written = yaml.safe_load((lab.directory / "inventory/hosts.yml").read_text())
    assert written["all"]["vars"]["shared_storage_source"] == "n1:/shared"
    assert said[0]["command"][:2] == ["ssh", "n1"]


@pytest.mark.usefixtures("said")
def test_a_host_more_leaves_it_as_it_is(lab: Lab) -> None:
    served = share.serve(lab, "n1")
    assert served.with_host(Host("n3", "debian-12", "10.77.4.13")).share == "n1"


def test_a_lab_of_before_has_none(lab: Lab) -> None:
    file = lab.directory / "lab.json"
    file.write_text(file.read_text().replace(',\n  "share": ""', ""))
    assert model.existing("one").share == ""


def test_without_a_mirror_there_is_nothing_to_install_from(said: list[dict[str, Any]]) -> None:
    with pytest.raises(LabError, match="no mirror"):
        share.serve(Lab("bare", "10.77.5.0/24", mirror=False), "n1")
    assert not said


def test_a_host_that_is_not_there_is_named(lab: Lab, said: list[dict[str, Any]]) -> None:
    with pytest.raises(LabError, match="no host 'n9'"):
        share.serve(lab, "n9")
    assert not said


def serve(folder: Path, **answers: str) -> list[str]:
    """Run what the host is told, with programs that note their calls; `answers` are their bodies."""
    calls = folder / "calls"
    for name in ("apt-get", "systemctl", "gluster", "install", "glusterd", "hostname"):
        program = folder / name
        body = answers.get(name.replace("-", "_"), "")
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {calls}\n{body}\n')
        program.chmod(0o755)
    if answers.get("glusterd") == "missing":
        (folder / "glusterd").unlink()
    environment = {"PATH": f"{folder}:/usr/bin:/bin"}
    subprocess.run(["sh", "-s", "--", "shared"], input=share._SERVE, text=True, env=environment, check=True, timeout=20)
    return calls.read_text().splitlines()


def test_a_host_that_serves_already_is_left_as_it_is(tmp_path: Path) -> None:
    calls = serve(tmp_path, gluster="echo 'Status: Started'")
    assert not [call for call in calls if "create" in call or call.startswith(("apt-get", "gluster volume start"))]


def test_a_fresh_host_serves_with_roots_rights_squashed(tmp_path: Path) -> None:
    missing = '[ "$2" = info ] && exit 1; [ "$3" = info ] && exit 1; exit 0'
    calls = serve(tmp_path, glusterd="missing", gluster=missing, hostname="echo n1")
    assert [call.split()[0] for call in calls].count("apt-get") == 2
    assert "gluster --mode=script volume create shared n1:/var/lib/shared/brick force" in calls
    assert "gluster volume set shared server.root-squash on" in calls
    assert calls[-1] == "gluster volume start shared"
    assert "install -d -o 65534 -g 65534 /var/lib/shared/brick" in calls
