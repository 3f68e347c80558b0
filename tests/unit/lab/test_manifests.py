"""Manifests are where the product looks for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import manifests


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("cloudnative-pg", "cloudnative-pg/cloudnative-pg/v1.30.0/releases/cnpg-1.30.0.yaml"),
        ("kuberay", "ray-project/kuberay/v1.6.1/ray-operator/config"),
    ],
)
def test_a_manifest_is_below_the_mirror_as_it_is_at_github(name: str, path: str) -> None:
    assert manifests.path(name) == path


def test_the_modules_own_files_are_laid_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source/releases"
    source.mkdir(parents=True)
    (source / "cnpg-1.30.0.yaml").write_text("kind: Namespace\n")
    (tmp_path / "source/config/default").mkdir(parents=True)
    (tmp_path / "source/config/default/kustomization.yaml").write_text("kind: Kustomization\n")
    monkeypatch.setattr("lab.programs.source", lambda _name: tmp_path / "source")
    manifests._fill(tmp_path / "new")
    assert (tmp_path / "new" / manifests.path("cloudnative-pg")).read_text() == "kind: Namespace\n"
    folder = tmp_path / "new" / manifests.path("kuberay")
    assert (folder / "default/kustomization.yaml").read_text() == "kind: Kustomization\n"
