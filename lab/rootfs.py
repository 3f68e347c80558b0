"""Root file systems of lab hosts, by mmdebstrap from the archive that the machine itself uses.

A host's root is an overlay of layers: the base (Debian's packages, which takes a minute), the files of ours over it
(seconds, so that a change of a double needs no new base), and what the host itself writes. A directory is named by the
hash of what goes into it and never changes afterwards, for hosts stand on it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import model, paths
from lab.errors import LabError
from lab.progress import step
from lab.run import run

FILES = Path(__file__).with_name("host")
DOUBLES = Path(__file__).with_name("doubles")


@dataclass(frozen=True)
class System:
    """An operating system of lab hosts: the Debian release it is made of, and what it installs from the mirror."""

    base: str
    codename: str
    archive: str
    suite: str


SYSTEMS = {
    "debian-12": System("debian-12", "bookworm", "debian", "bookworm"),
    "debian-13": System("debian-13", "trixie", "debian", "trixie"),
    "ubuntu-24.04": System("debian-12", "bookworm", "ubuntu", "noble"),  # a double: Debian with Ubuntu's names
}
DEFAULT = "debian-12"
_UNUSED_SECONDS = 24 * 3600

_SITE_SOURCES = """\
Types: deb
URIs: http://mirror/apt/{archive}
Suites: {suite}
Components: main
Signed-By: /usr/share/keyrings/groundwork-lab.asc
"""


def build() -> None:
    """Make the wanted operating systems' root file systems, and download packages for the mirror, where not current."""
    current = [layer for name in wanted() for layer in layers(name)]
    with paths.locked("rootfs-pruning"):
        _prune(current)


def wanted() -> list[str]:
    """Return the operating systems to build: those on the default's base, and each that a host was ever to have."""
    base = SYSTEMS[DEFAULT].base
    return [name for name, system in SYSTEMS.items() if system.base == base or (paths.HOSTS / name).is_dir()]


def want(name: str) -> None:
    """Have an operating system of SYSTEMS built from now on."""
    (paths.HOSTS / name).mkdir(parents=True, exist_ok=True)


def layers(name: str) -> list[Path]:
    """Return the layers of an operating system, the uppermost first; those that are not there yet are made."""
    system = find(name)
    with paths.locked(f"rootfs-{system.base}"):
        base = _base(system)
    with paths.locked(f"rootfs-{name}"):
        _link(paths.HOSTS / name / "debs", _debs(base))
        return [_files(name, system), base]


def find(name: str) -> System:
    """Return the operating system called `name`.

    Raises:
        LabError: hosts cannot have it.
    """
    if name in SYSTEMS:
        return SYSTEMS[name]
    raise LabError(f"a lab host cannot run {name!r}", f"choose from: {', '.join(SYSTEMS)}")


def packages(list_file: Path) -> list[str]:
    """Read a list of packages, one a line; what follows a # is for people."""
    lines = (line.partition("#")[0].strip() for line in list_file.read_text().splitlines())
    return [line for line in lines if line]


def bootstrap(codename: str, target: Path, include: Sequence[str], *options: str) -> None:
    """Install Debian into the empty directory `target`.

    Args:
        codename: Debian's release, such as "bookworm".
        target: the root of what is installed.
        include: packages beside the essential ones and apt.
        options: more options for mmdebstrap.
    """
    without = [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("doc", "man", "info", "locale")]
    command = ["mmdebstrap", "--mode=root", "--variant=apt", "--dpkgopt=force-unsafe-io", *without, *options]
    run([*command, f"--include={','.join(include)}", codename, target, *sources(codename)], timeout=1800)


def sources(codename: str) -> list[str]:
    """Return the lines of a sources.list for a Debian release, at the mirror that this machine's own apt uses.

    GROUNDWORK_DEBIAN_MIRROR names another one.

    Raises:
        LabError: the machine's apt knows no Debian archive.
    """
    if url := os.environ.get("GROUNDWORK_DEBIAN_MIRROR"):
        return [f"deb {url} {codename} main"]
    own = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    fields = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"])
    found = (line.split() for line in sorted(set(fields.splitlines())))
    lines = [
        f"deb {url} {_of_release(suite, own, codename)} main"
        for url, suite, part in found
        if part == "main" and _is_of(suite, own)
    ]
    if not lines:
        raise LabError(
            "this machine's apt knows no Debian archive",
            "run apt-get update, or set GROUNDWORK_DEBIAN_MIRROR to a mirror's URL",
        )
    return lines


def _is_of(suite: str, codename: str) -> bool:
    return re.fullmatch(rf"{re.escape(codename)}(-updates|-security)?", suite) is not None


def _of_release(suite: str, own: str, codename: str) -> str:
    return codename + suite.removeprefix(own)


def _base(system: System) -> Path:
    parts = [f"{file}:{(FILES / file).read_text()}" for file in ("packages.txt", "mirrored.txt", "customize")]
    target = paths.HOSTS / system.base / f"base-{_digest([system.codename, *parts])}"
    if not target.exists():
        title = f"Install Debian {system.codename} for lab hosts"
        with step(title), paths.replacing(target) as root, paths.replacing(_debs(target)) as downloads:
            words = [str(FILES / "customize"), '"$1"', str(downloads), *packages(FILES / "mirrored.txt")]
            hook = f"--customize-hook={' '.join(words)}"
            bootstrap(system.codename, root, packages(FILES / "packages.txt"), hook)
    return target


def _debs(base: Path) -> Path:
    """Return where the packages lie that were downloaded with a base."""
    return base.with_name(base.name.replace("base-", "debs-"))


def _files(name: str, system: System) -> Path:
    target = paths.HOSTS / name / f"files-{_digest([_SITE_SOURCES, *_described(name)])}"
    if not target.exists():
        with paths.replacing(target) as layer:
            for tree in _trees(name):
                _copy(tree, layer)
            lists = layer / "etc/apt/sources.list.d"
            lists.mkdir(parents=True, exist_ok=True)
            (lists / "site.sources").write_text(_SITE_SOURCES.format(archive=system.archive, suite=system.suite))
    return target


def _link(link: Path, target: Path) -> None:
    """Have `link` point to `target`, at no moment to nothing."""
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink() and link.resolve() == target.resolve():
        return
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(os.path.relpath(target, link.parent))
    new.rename(link)


def _trees(name: str) -> list[Path]:
    """Trees of files that go over the base: every host's, the doubles', and those of this operating system alone."""
    trees = [FILES / "rootfs", *sorted(DOUBLES.glob("*/rootfs")), FILES / name]
    return [tree for tree in trees if tree.is_dir()]


def _contents(tree: Path) -> list[Path]:
    """List what is in a tree, directories before what is in them; what Python and its tools cache is none of it."""
    return [path for path in sorted(tree.rglob("*")) if not {"__pycache__", ".mypy_cache"} & set(path.parts)]


def _copy(source: Path, target: Path) -> None:
    """Copy a tree with the modes of an installed system, whatever umask the checkout was made under."""
    for path in _contents(source):
        copy = target / path.relative_to(source)
        if path.is_symlink():
            copy.symlink_to(path.readlink())
        elif path.is_dir():
            copy.mkdir(exist_ok=True)
            copy.chmod(0o755)
        else:
            shutil.copyfile(path, copy)
            copy.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _described(name: str) -> Iterator[str]:
    """Say of every file of our layers what would change the layer."""
    for tree in _trees(name):
        for path in _contents(tree):
            yield f"{path.relative_to(tree)} {path.lstat().st_mode & 0o100} {_content(path)}"


def _content(path: Path) -> str:
    if path.is_symlink():
        return str(path.readlink())
    return "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _prune(current: Iterable[Path]) -> None:
    """Remove layers that no host stands on and that nobody has built for a day: checkouts may share the cache."""
    used = {layer for lab in model.every() for host in lab.hosts for layer in lab.layers(host.name)}
    for layer in current:
        for path in (layer, _debs(layer)):
            os.utime(path)
    for path in paths.HOSTS.glob("*/*-*"):
        is_layer = re.fullmatch(r"(base|debs|files)-[0-9a-f]{12}", path.name)
        if is_layer and path not in used and time.time() - path.stat().st_mtime > _UNUSED_SECONDS:
            shutil.rmtree(path)
