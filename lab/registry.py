"""The storage of a registry (CNCF Distribution), laid out from OCI layouts without one running.

The tree is what its filesystem driver reads, the same since Docker Registry 2.0: blobs by digest, and links that say
which repository has which of them (distribution, registry/storage/paths.go).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

VERSION = Path("docker/registry/v2")


def add(storage: Path, reference: str, layout: Path) -> str:
    """Add the one image of an OCI layout, its blobs as hard links, and return the manifest's digest.

    Args:
        storage: the registry's root directory.
        reference: REPOSITORY:TAG. A public registry's host name is the repository's first folder, so that equal
            names of two registries do not meet.
        layout: the image; must be on the same file system.
    """
    repository, _, tag = reference.rpartition(":")
    blobs, home = storage / VERSION / "blobs", storage / VERSION / "repositories" / repository
    (entry,) = _read(layout / "index.json")["manifests"]
    digest = str(entry["digest"])
    manifest = _read(_blob(layout, digest))
    parts = [str(part["digest"]) for part in (manifest["config"], *manifest["layers"])]
    for each in (digest, *parts):
        _keep(_blob(layout, each), blobs / _folder(each, sharded=True) / "data")
    for each in parts:
        _link(home / "_layers" / _folder(each), each)
    manifests = home / "_manifests"
    for folder in ("revisions" / _folder(digest), f"tags/{tag}/index" / _folder(digest), Path(f"tags/{tag}/current")):
        _link(manifests / folder, digest)
    return digest


def _read(file: Path) -> Any:
    return json.loads(file.read_text())


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / _folder(digest)


def _folder(digest: str, sharded: bool = False) -> Path:
    algorithm, _, number = digest.partition(":")
    return Path(algorithm, number[:2], number) if sharded else Path(algorithm, number)


def _keep(blob: Path, data: Path) -> None:
    data.parent.mkdir(parents=True, exist_ok=True)
    if not data.exists():
        os.link(blob, data)


def _link(folder: Path, digest: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "link").write_text(digest)
