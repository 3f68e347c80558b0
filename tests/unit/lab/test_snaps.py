"""Snaps of the mirror: packed once, asserted, and their contents kept as long as somebody mounts them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from lab import paths, snaps

pytestmark = pytest.mark.skipif(shutil.which("mksquashfs") is None, reason="squashfs-tools are not installed")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own."""
    folders = {"CACHE": ".", "MIRROR": "mirror", "SNAP_CONTENTS": "contents", "LABS": "labs", "KEYS": "keys"}
    for name, value in folders.items():
        monkeypatch.setattr(paths, name, tmp_path / value)
    monkeypatch.setattr(snaps, "SNAPS", tmp_path / "mirror/snaps")
    monkeypatch.setattr(snaps, "KEY", tmp_path / "keys/key.pem")
    monkeypatch.setattr(snaps, "PUBLIC_KEY", tmp_path / "contents/assertion.pub")
    return tmp_path


def _snap(text: str) -> snaps.Snap:
    metadata = {"name": "x", "version": "1", "summary": "A snap"}
    return snaps.Snap("x", "latest/stable", metadata, lambda root: (root / "file").write_text(text), (text,))


def _build(monkeypatch: pytest.MonkeyPatch, snap: snaps.Snap) -> str:
    monkeypatch.setattr(snaps, "_system", lambda name, kind: snap)
    monkeypatch.setattr(snaps, "_microk8s", lambda: snap)
    snaps.build()
    file = snaps.SNAPS / "x/latest/stable/x.snap"
    return hashlib.sha3_384(file.read_bytes()).hexdigest()


def test_a_snap_has_its_assertion_checksums_and_contents(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = _build(monkeypatch, _snap("one"))
    folder = snaps.SNAPS / "x/latest/stable"
    assert (cache / "contents" / digest / "file").read_text() == "one"
    assert json.loads((cache / "contents" / digest / "meta/snap.yaml").read_text())["name"] == "x"
    assert (snaps.SNAPS / "x/channels").read_text() == "latest/stable\n"
    sums = [line.split() for line in (folder / "SHA256SUMS").read_text().splitlines()]
    assert sums == [[hashlib.sha256((folder / name).read_bytes()).hexdigest(), name] for name in ("x.assert", "x.snap")]
    assert "snap-name: x\n" in (folder / "x.assert").read_text()


def test_what_is_current_is_not_packed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    _build(monkeypatch, _snap("one"))
    before = (snaps.SNAPS / "x/latest/stable/x.assert").stat().st_mtime_ns
    _build(monkeypatch, _snap("one"))
    assert (snaps.SNAPS / "x/latest/stable/x.assert").stat().st_mtime_ns == before


def test_other_contents_are_another_revision() -> None:
    assert _snap("one").revision == _snap("one").revision != _snap("two").revision


def test_contents_stay_while_a_host_mounts_them(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _build(monkeypatch, _snap("one"))
    unit = cache / "labs/lab/hosts/n1/upper/etc/systemd/system/snap-x-1.mount"
    unit.parent.mkdir(parents=True)
    unit.write_text(f"What=/usr/lib/lab/snap-contents/{first}\n")
    second = _build(monkeypatch, _snap("two"))
    assert {each.name for each in (cache / "contents").iterdir() if each.is_dir()} == {first, second}
    unit.unlink()
    third = _build(monkeypatch, _snap("three"))
    assert {each.name for each in (cache / "contents").iterdir() if each.is_dir()} == {third}
