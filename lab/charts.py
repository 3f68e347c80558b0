"""A Helm repository as a mirror serves it, of charts that lie in the Go modules of the programs they install."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lab import kept, paths, programs

DIRECTORY = paths.MIRROR / "charts"
CHARTS: Mapping[str, str] = {"nvidia-device-plugin": "deployments/helm/nvidia-device-plugin"}  # program, directory in its module


def build() -> None:
    """Pack the charts and write the repository's index."""
    versions = [programs.load(name).version for name in CHARTS]
    kept.keep(DIRECTORY, "Pack the Helm charts", _fill, Path(__file__), CHARTS, versions)


def _fill(new: Path) -> None:
    packed = [pack(programs.source(name) / directory, new) for name, directory in CHARTS.items()]
    (new / "index.yaml").write_text(yaml.safe_dump(index(packed), sort_keys=False))


def pack(chart: Path, into: Path) -> Path:
    """Pack a chart with the dependencies in its charts/ directory, as `helm package` does; the same input, the same bytes."""
    values = metadata(chart)
    archive = into / f"{values['name']}-{values['version']}.tgz"
    # gzip writes the time and the file's name into its header unless told otherwise
    with archive.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for file in sorted(path for path in chart.rglob("*") if path.is_file()):
            tar.add(file, f"{values['name']}/{file.relative_to(chart)}", filter=_plain)
    return archive


def metadata(chart: Path) -> dict[str, Any]:
    """What Chart.yaml says; an archive's is read out of it."""
    if chart.is_dir():
        text = (chart / "Chart.yaml").read_bytes()
    else:
        with tarfile.open(chart) as tar:
            first = min((name for name in tar.getnames() if name.endswith("/Chart.yaml")), key=lambda name: name.count("/"))
            member = tar.extractfile(first)
            assert member is not None
            text = member.read()
    values: dict[str, Any] = yaml.safe_load(text)
    return values


def index(archives: list[Path]) -> dict[str, Any]:
    """The repository's index.yaml: every chart's own metadata, its address beside the index and its SHA-256."""
    entries: dict[str, list[dict[str, Any]]] = {}
    for archive in archives:
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        entry = {**metadata(archive), "digest": digest, "urls": [archive.name]}
        entries.setdefault(entry["name"], []).append(entry)
    return {"apiVersion": "v1", "entries": entries}


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without what differs from machine to machine."""
    member.mtime, member.mode = 0, 0o644
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
