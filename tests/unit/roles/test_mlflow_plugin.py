"""The plugin by which MLflow keeps artifacts in S3 and tells its clients nothing of it, with doubles for MLflow."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

FILE = Path(__file__).resolve().parents[3] / "roles/mlflow/files/groundwork_mlflow.py"


class Repository:
    """Stands for MLflow's base class."""

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        self.artifact_uri = artifact_uri
        self.others = (tracking_uri, registry_uri)


class S3(Repository):
    """Stands for MLflow's repository of S3; it remembers what it was asked."""

    made: ClassVar[list[S3]] = []

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        self.asked: list[tuple[Any, ...]] = []
        S3.made.append(self)

    def __getattr__(self, name: str) -> Any:
        return lambda *words: self.asked.append((name, *words))


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with doubles where it imports MLflow."""
    names: dict[str, dict[str, object]] = {
        "mlflow": {},
        "mlflow.entities": {"FileInfo": object},
        "mlflow.store.artifact.artifact_repo": {"ArtifactRepository": Repository},
        "mlflow.store.artifact.s3_artifact_repo": {"S3ArtifactRepository": S3},
    }
    for name, members in names.items():
        module = ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
    specification = importlib.util.spec_from_file_location("groundwork_mlflow", FILE)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_it_is_no_repository_of_s3_and_has_one(plugin: ModuleType) -> None:
    """MLflow asks by isinstance what clients may do past the server."""
    made = plugin.ProxiedS3("proxied-s3://bucket/folder", tracking_uri="https://mlflow")
    assert isinstance(made, Repository)
    assert not isinstance(made, S3)
    assert (S3.made[-1].artifact_uri, S3.made[-1].others) == ("s3://bucket/folder", ("https://mlflow", None))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("log_artifact", ("/here/word", "folder")),
        ("log_artifacts", ("/here/words", "folder")),
        ("list_artifacts", ("folder",)),
        ("_download_file", ("folder/word", "/here/word")),
        ("delete_artifacts", ("folder",)),
    ],
)
def test_what_is_asked_of_it_is_asked_of_s3(plugin: ModuleType, name: str, words: tuple[str, ...]) -> None:
    getattr(plugin.ProxiedS3("proxied-s3://bucket"), name)(*words)
    assert S3.made[-1].asked == [(name, *words)]
