"""Every image is described in full, and the registry's storage has its blobs and links."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from lab import images, programs, registry

PUBLIC = ("registry.k8s.io/", "nvcr.io/", "docker.io/", "ghcr.io/", "quay.io/")


@pytest.mark.parametrize("name", images.names())
def test_an_image_has_a_full_reference_and_a_containerfile(name: str) -> None:
    image = images.load(name)
    repository, _, tag = image.reference.rpartition(":")
    assert repository.startswith(PUBLIC)
    assert tag not in {"", "None", "latest"}
    assert (image.folder / "Containerfile").is_file()


@pytest.mark.parametrize("name", images.names())
def test_what_is_copied_is_put_there(name: str) -> None:
    image = images.load(name)
    present = {path.name for path in image.folder.iterdir()} | {image.compile.removesuffix(".c")}
    present |= {"root.tar"} if image.packages else set()
    present |= {"site-packages"} if image.requirements else set()
    present |= {file.name for file in image.files if file.is_file()}
    present |= set(programs.load(image.program).outputs) if image.program else set()
    for line in (image.folder / "Containerfile").read_text().splitlines():
        if line.startswith(("COPY", "ADD")):
            sources = [word for word in line.split()[1:-1] if not word.startswith("--")]
            assert all(source in present or source.endswith(".whl") for source in sources)


def test_an_image_stands_on_the_base_that_it_names() -> None:
    for image in map(images.load, images.names()):
        first = next(
            line for line in (image.folder / "Containerfile").read_text().splitlines() if line.startswith("FROM")
        )
        assert first == f"FROM {images.load(image.base).reference if image.base else 'scratch'}"


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    directory = tmp_path / "layout"
    blobs = directory / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return f"sha256:{digest}"

    manifest = {"config": {"digest": put(b"config")}, "layers": [{"digest": put(b"layer")}]}
    digest = put(json.dumps(manifest).encode())
    (directory / "index.json").write_text(json.dumps({"manifests": [{"digest": digest}]}))
    return directory


def test_the_storage_leads_from_the_tag_to_every_blob(layout: Path, tmp_path: Path) -> None:
    digest = registry.add(tmp_path / "storage", "nvcr.io/nvidia/plugin:v1", layout)
    version = tmp_path / "storage/docker/registry/v2"
    home = version / "repositories/nvcr.io/nvidia/plugin"
    assert (home / "_manifests/tags/v1/current/link").read_text() == digest
    links = [*(home / "_layers").rglob("link"), *(home / "_manifests/revisions").rglob("link")]
    assert len(links) == 3
    for link in links:
        number = link.read_text().removeprefix("sha256:")
        assert link.parent.name == number
        data = version / "blobs/sha256" / number[:2] / number / "data"
        assert hashlib.sha256(data.read_bytes()).hexdigest() == number


def test_repositories_share_blobs(layout: Path, tmp_path: Path) -> None:
    for reference in ("docker.io/a:1", "docker.io/b:1"):
        registry.add(tmp_path / "storage", reference, layout)
    assert len(list((tmp_path / "storage").rglob("data"))) == 3
