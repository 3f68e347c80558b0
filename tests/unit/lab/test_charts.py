"""Charts are packed as Helm expects them, and the same input gives the same bytes."""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path

import pytest
import yaml

from lab import charts


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    (directory / "templates").mkdir(parents=True)
    (directory / "charts").mkdir()
    (directory / "Chart.yaml").write_text("apiVersion: v2\nname: plugin\nversion: 0.19.0\nappVersion: '1'\n")
    (directory / "templates/daemonset.yml").write_text("kind: DaemonSet\n")
    (directory / "charts/dependency.tgz").write_bytes(b"packed")
    return directory


def test_an_archive_holds_the_chart_below_its_name(chart: Path, tmp_path: Path) -> None:
    charts.pack(chart, tmp_path)
    with tarfile.open(tmp_path / "plugin-0.19.0.tgz") as tar:
        assert tar.getnames() == ["plugin/Chart.yaml", "plugin/charts/dependency.tgz", "plugin/templates/daemonset.yml"]


def test_packing_again_gives_the_same_bytes(chart: Path, tmp_path: Path) -> None:
    first = charts.pack(chart, tmp_path)["digest"]
    os.utime(chart / "Chart.yaml", (1, 1))
    (chart / "Chart.yaml").chmod(0o600)
    assert charts.pack(chart, tmp_path)["digest"] == first


def test_the_index_carries_the_metadata_and_the_hash(chart: Path, tmp_path: Path) -> None:
    text = charts.index([charts.pack(chart, tmp_path)])
    (entry,) = yaml.safe_load(text)["entries"]["plugin"]
    assert entry["version"] == "0.19.0"
    assert entry["urls"] == ["plugin-0.19.0.tgz"]
    assert entry["digest"] == hashlib.sha256((tmp_path / "plugin-0.19.0.tgz").read_bytes()).hexdigest()
