"""What hosts are made of: where their packages come from, and which files of ours lie over them."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from lab import paths, rootfs
from lab.errors import LabError

BOOKWORM = """\
http://archive.example/debian/ bookworm main
http://archive.example/debian/ bookworm-updates main
http://archive.example/debian-security/ bookworm-security main
http://archive.example/debian/ bookworm contrib
http://elsewhere.example/apt stable main
"""


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GROUNDWORK_DEBIAN_MIRROR", raising=False)
    monkeypatch.setattr(rootfs, "run", lambda _command: BOOKWORM)
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"VERSION_CODENAME": "bookworm"})


@pytest.mark.usefixtures("apt")
def test_packages_come_from_where_the_machine_has_its_own() -> None:
    assert rootfs.sources("trixie") == [
        "deb http://archive.example/debian-security/ trixie-security main",
        "deb http://archive.example/debian/ trixie main",
        "deb http://archive.example/debian/ trixie-updates main",
    ]


@pytest.mark.usefixtures("apt")
def test_another_mirror_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDWORK_DEBIAN_MIRROR", "http://mirror.example/debian")
    assert rootfs.sources("trixie") == ["deb http://mirror.example/debian trixie main"]


@pytest.mark.usefixtures("apt")
def test_a_machine_without_debians_archive_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "run", lambda _command: "")
    with pytest.raises(LabError, match="knows no Debian archive") as error:
        rootfs.sources("bookworm")
    assert "GROUNDWORK_DEBIAN_MIRROR" in error.value.remedy


def test_lists_of_packages_are_for_people_too(tmp_path: Path) -> None:
    file = tmp_path / "packages.txt"
    file.write_text("# why\ncurl\n\nsocat   # for kubectl port-forward\n")
    assert rootfs.packages(file) == ["curl", "socat"]


@pytest.fixture
def host_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of ours in a checkout with a strict umask, and a base that is there."""
    source = tmp_path / "host"
    (source / "rootfs/usr/lib/lab").mkdir(parents=True, mode=0o700)
    (source / "rootfs/usr/lib/lab/boot").write_text("#!/bin/sh\n")
    (source / "rootfs/usr/lib/lab/boot").chmod(0o700)
    (source / "rootfs/usr/lib/lab/notes").write_text("")
    (source / "rootfs/usr/lib/lab/notes").chmod(0o600)
    (source / "rootfs/usr/lib/lab/link").symlink_to("boot")
    monkeypatch.setattr(rootfs, "FILES", source)
    monkeypatch.setattr(rootfs, "DOUBLES", tmp_path / "doubles")
    monkeypatch.setattr(rootfs, "_base", lambda _system: tmp_path / "base-0")
    for name in ("HOSTS", "CACHE"):
        monkeypatch.setattr(paths, name, tmp_path / "cache")
    return source / "rootfs"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.usefixtures("host_files")
def test_files_get_the_modes_of_an_installed_system() -> None:
    layer = rootfs.layers("debian-12")[0]
    assert [mode(layer / name) for name in ("usr", "usr/lib/lab/boot", "usr/lib/lab/notes")] == [0o755, 0o755, 0o644]
    assert (layer / "usr/lib/lab/link").readlink() == Path("boot")


def test_a_change_makes_a_new_layer_and_leaves_the_old_one(host_files: Path) -> None:
    old = rootfs.layers("debian-12")[0]
    assert rootfs.layers("debian-12")[0] == old
    (host_files / "usr/lib/lab/boot").write_text("#!/bin/sh\ntrue\n")
    assert rootfs.layers("debian-12")[0] != old
    assert old.exists()


@pytest.mark.usefixtures("host_files")
def test_each_system_installs_from_its_own_suite() -> None:
    sources = {
        name: (rootfs.layers(name)[0] / "etc/apt/sources.list.d/site.sources").read_text() for name in rootfs.SYSTEMS
    }
    assert "/apt/debian\nSuites: bookworm" in sources["debian-12"]
    assert "/apt/debian\nSuites: trixie" in sources["debian-13"]
    assert "/apt/ubuntu\nSuites: noble" in sources["ubuntu-24.04"]
