"""Container images under upstream's names, made of programs built here, and the storage of a registry that has them.

A folder below lab/images describes one: a Containerfile, files of ours, and image.yml, which says what is put beside:

    reference: the image's name with registry and tag; {version} is its program's, {number} that without the v, {tag}
        the one in versions.yml
    program: a program of the lab, whose built files are there
    packages: Debian packages that are there as root.tar, with all they depend on
    release: the Debian release that they are of, if another one than usual
    compile: a C source in the folder, compiled without libraries
    wheel: a project, whose wheel out of the mirror is there
    requirements: a lock of Python packages, installed into the folder site-packages there
    base: the image of the lab that this one is built on
    folder: where the Containerfile is, if elsewhere in the project
    files: files of the project that are there too

buildah builds them without network, in a mount namespace and a storage of their own, both gone afterwards.
"""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from lab import debian, kept, paths, programs, registry, wheels
from lab.run import run

RECIPES = Path(__file__).with_name("images")
BUILT = paths.CACHE / "images"
REGISTRY = paths.MIRROR / "registry"


@dataclass(frozen=True)
class Image:
    """An image to build, as its image.yml says."""

    name: str
    reference: str
    folder: Path
    program: str = ""
    packages: tuple[str, ...] = ()
    release: str = debian.CODENAME
    compile: str = ""
    wheel: str = ""
    requirements: Path | None = None
    base: str = ""
    files: tuple[Path, ...] = ()

    @property
    def layout(self) -> Path:
        """Where it is kept, as an OCI layout."""
        return BUILT / self.name

    def key(self) -> str:
        """Return what changes with all that the image is made of."""
        program = programs.directory(self.program).name if self.program else ""
        wheel = wheels.find(self.wheel).name if self.wheel else ""
        base = load(self.base).key() if self.base else ""
        made_of = (
            self.reference,
            self.folder,
            *self.files,
            self.packages,
            self.release,
            self.compile,
            program,
            wheel,
            base,
        )
        lock = (self.requirements,) if self.requirements else ()
        return kept.key(*made_of, *lock, Path(__file__))


def names() -> list[str]:
    """Every image."""
    return sorted(recipe.parent.name for recipe in RECIPES.glob("*/image.yml"))


def load(name: str) -> Image:
    """Read the description of one image."""
    values = yaml.safe_load((RECIPES / name / "image.yml").read_text())
    version = programs.load(values["program"]).version if "program" in values else ""
    names = {"version": version, "number": version.removeprefix("v"), "tag": _tags().get(name)}
    values["reference"] = values["reference"].format(**names)
    values["packages"] = tuple(values.get("packages", ()))
    values["requirements"] = paths.PROJECT / values["requirements"] if "requirements" in values else None
    values["files"] = tuple(paths.PROJECT / file for file in values.get("files", ()))
    values["folder"] = paths.PROJECT / values.get("folder", f"lab/images/{name}")
    return Image(name=name, **values)


def build_without_programs() -> None:
    """Build those images that need not wait for compilers."""
    _keep_all([image for image in map(load, names()) if not _waits_for_programs(image)])


def build() -> None:
    """Build what is not current, and the registry's storage of it all."""
    images = [load(name) for name in names()]
    _keep_all(images)
    kept.keep(
        REGISTRY,
        "Fill the registry",
        partial(_fill, images),
        *(image.key() for image in images),
        Path(registry.__file__),
    )


def _waits_for_programs(image: Image) -> bool:
    return bool(image.program or image.wheel or (image.base and _waits_for_programs(load(image.base))))


def _keep_all(images: list[Image]) -> None:
    """Build what is not current, bases first, two at a time: one packs while the other unpacks."""
    with ThreadPoolExecutor(2) as pool:
        for based in (False, True):
            list(pool.map(_keep, [image for image in images if bool(image.base) == based]))


def _keep(image: Image) -> None:
    kept.keep(image.layout, f"Build the image {image.reference}", partial(_build, image), image.key())


def _tags() -> dict[str, str]:
    tags: dict[str, str] = yaml.safe_load((paths.PROJECT / "versions.yml").read_text())["lab"]["images"]
    return tags


def _fill(images: list[Image], storage: Path) -> None:
    for image in images:
        registry.add(storage, image.reference, image.layout)


def _build(image: Image, layout: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{image.name}.", dir=layout.parent) as name:
        work = Path(name)
        context = work / "context"
        _collect(image, context)
        if image.base:
            _lend(load(image.base), work)
        # no times of this build, so that the same content has the same digest
        options = ["--pull-never", "--timestamp=0", "--format=oci", "--layers=false", f"--tag={image.reference}"]
        _buildah(work, "bud", "--isolation=chroot", *options, str(context))
        # zstd, as three hosts unpack on few cores what nobody sends far: a quarter of gzip's time, at the same size
        _buildah(work, "push", "--compression-format=zstd", "--compression-level=1", image.reference, f"oci:{layout}")


def _lend(base: Image, work: Path) -> None:
    """Put a built image into the storage of a build, under its own name."""
    storage = f"containers-storage:[overlay@{work}/storage+{work}/run]{base.reference}"
    _alone("skopeo", "copy", f"oci:{base.layout}", storage)


def _collect(image: Image, context: Path) -> None:
    """Put together what the Containerfile copies from."""
    shutil.copytree(image.folder, context, ignore=shutil.ignore_patterns("__pycache__"))
    for file in image.files:
        shutil.copy(file, context)
    if image.program:
        shutil.copytree(programs.directory(image.program), context, dirs_exist_ok=True)
    if image.packages:
        debian.unpack(image.packages, context / "root.tar", image.release)
    if image.compile:
        source = context / image.compile
        run(["gcc", "-Os", "-Wall", "-Wextra", "-Werror", "-static", "-s", "-o", source.with_suffix(""), source])
    if image.wheel:
        shutil.copy(wheels.find(image.wheel), context)
    if image.requirements:
        wheels.install(image.requirements, context / "site-packages", debian.PYTHONS[image.release])


def _buildah(work: Path, *arguments: str) -> None:
    _alone("buildah", f"--root={work}/storage", f"--runroot={work}/run", "--storage-driver=overlay", *arguments)


def _alone(*command: str) -> None:
    """Run a command that opens the container storage: it mounts that upon itself, which nobody else is to see."""
    run(["unshare", "--mount", "--propagation=private", "--", *command])
