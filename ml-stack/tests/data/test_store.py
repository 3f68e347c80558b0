"""Versions by DVC, with a remote: what is damaged never comes back as sound."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlstack.config import Data
from mlstack.data import records, store
from mlstack.errors import MlstackError, UsageError

pytestmark = pytest.mark.slow
DATA = Data(folder=Path("data/example"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a data set that was pushed to a remote; it is the current folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for command in (
        "git init --quiet",
        f"{sys.executable} -m dvc init --quiet",
        f"{sys.executable} -m dvc remote add --quiet --default far {tmp_path}/remote",
    ):
        subprocess.run(command.split(), check=True)
    DATA.folder.mkdir(parents=True)
    records.pack(DATA.folder, "train", [{"text": "one", "label": "a"}])
    records.pack(DATA.folder, "test", [{"text": "two", "label": "b"}])
    store.add(DATA)
    return tmp_path


def _forget(project: Path) -> None:
    """What a fresh clone lacks."""
    shutil.rmtree(project / "project" / ".dvc/cache")
    shutil.rmtree(project / "project" / DATA.folder)


def _objects(project: Path) -> list[Path]:
    """The remote's objects of files, not the folder's listing."""
    return [path for path in (project / "remote").rglob("*") if path.is_file() and path.suffix != ".dir"]


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def test_a_clone_pulls_what_was_added(project: Path) -> None:
    _forget(project)
    assert store.pull(DATA) == store.version(DATA)
    assert records.columns(DATA, "train") == (["one"], ["a"])
    store.verify_remote(DATA)


def test_a_damaged_object_of_the_remote_is_refused(project: Path) -> None:
    _forget(project)
    _damage(_objects(project)[0])
    with pytest.raises(MlstackError, match="data/example"):
        store.pull(DATA)
    with pytest.raises(MlstackError):
        store.verify_remote(DATA)


def test_a_missing_object_of_the_remote_is_refused(project: Path) -> None:
    _forget(project)
    _objects(project)[0].unlink()
    with pytest.raises(MlstackError):
        store.pull(DATA)


def test_half_an_object_in_the_remote_is_refused(project: Path) -> None:
    _forget(project)
    half = _objects(project)[0]
    half.chmod(0o644)
    half.write_bytes(half.read_bytes()[:100])
    with pytest.raises(MlstackError):
        store.pull(DATA)


@pytest.mark.usefixtures("project")
def test_a_damaged_file_is_noticed_and_pulled_again() -> None:
    file = DATA.folder / "train-00000.parquet"
    before = file.stat()
    cached = [path for path in Path(".dvc/cache").rglob("*") if path.is_file() and path.suffix != ".dir"]
    for path in (file, *cached):
        _damage(path)
    assert file.stat().st_size == before.st_size
    assert store.content(DATA.folder) != store.version(DATA)
    assert store.pull(DATA) == store.version(DATA)
    assert records.columns(DATA, "train") == (["one"], ["a"])


def test_a_folder_without_a_version_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"example\.dvc is missing"):
        store.version(DATA)
