"""A Helm repository as a mirror serves it, of charts that lie in the Go modules of the programs they install."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from lab import kept, paths, programs

DIRECTORY = paths.MIRROR / "charts"
CHARTS: Mapping[str, str] = {"nvidia-device-plugin": "deployments/helm/nvidia-device-plugin"}  # by program


def build() -> None:
    """Pack the charts and write the repository's index."""
    versions = [programs.load(name).version for name in CHARTS]
    kept.keep(DIRECTORY, "Pack the Helm charts", _fill, Path(__file__), versions)


def _fill(new: Path) -> None:
    entries = [pack(programs.source(name) / directory, new) for name, directory in CHARTS.items()]
    (new / "index.yaml").write_text(index(entries))


def pack(chart: Path, into: Path) -> dict[str, Any]:
    """Pack a chart and those in its charts/ directory, as `helm package` does, and return its entry in the index.

    The same chart gives the same bytes.
    """
    entry = yaml.safe_load((chart / "Chart.yaml").read_text())
    archive = into / f"{entry['name']}-{entry['version']}.tgz"
    # gzip would write the time and the file's name into its header
    with archive.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        _add(chart, entry["name"], packed)
    return {**entry, "digest": hashlib.sha256(archive.read_bytes()).hexdigest(), "urls": [archive.name]}


def index(entries: Iterable[Mapping[str, Any]]) -> str:
    """Return the index.yaml of a repository that has these charts, their archives beside it."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        by_name.setdefault(entry["name"], []).append(entry)
    return yaml.safe_dump({"apiVersion": "v1", "entries": by_name}, sort_keys=False)


def _add(chart: Path, name: str, packed: gzip.GzipFile) -> None:
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for file in sorted(path for path in chart.rglob("*") if path.is_file()):
            tar.add(file, f"{name}/{file.relative_to(chart)}", filter=_plain)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out what differs from machine to machine."""
    member.mtime, member.mode = 0, 0o644
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
