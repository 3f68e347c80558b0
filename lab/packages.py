"""The package repositories of a site's mirror: Debian's and Ubuntu's archives in part, and NVIDIA's own.

What the packages hold is a double or built here, as docs/lab.md says; their names, and who depends on whom, are the
vendors'. They are described in YAML beside the doubles: a file holds `version` and `packages`, and a package has

    package, description, depends, recommends, conflicts, provides
    files: what goes where; sources lie with the double, among the driver's built files or the toolkit's
    tree: a directory that is copied as it is
    texts, links: files by their content, links by their target
    service: systemd units that are enabled and started, and stopped before removal
    unload: the driver's module is unloaded before removal
    postinst, prerm, postrm, triggers: as dpkg knows them

@NAME@ in a description is filled in: DRIVER, BRANCH, KERNEL and others; see _Set.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lab import kept, paths, programs, rootfs, signing
from lab.errors import LabError
from lab.run import run

DIRECTORY = paths.MIRROR / "apt"
DOUBLES = paths.PROJECT / "lab/doubles"
NVIDIA = DOUBLES / "nvidia"
LIBRARY = NVIDIA / "library"
DRIVER_FILES = ("libnvidia-ml.so.1", "libcuda.so.1", "nvidia-smi")
RELATIONS = ("depends", "recommends", "conflicts", "provides")
ARCHITECTURE = "amd64"
MAINTAINER = "Groundwork lab <lab@localhost>"
LAB_VERSION = "99+lab"  # above Debian's own package of the same name, should a host see both
EPOCH = "1767225600"  # 2026-01-01: packages of one input are one package, byte by byte

# apt runs the scripts with a PATH of Debian's directories alone; modprobe's and depmod's doubles are in /usr/local.
SCRIPT_HEAD = '#!/bin/sh\nset -e\nexport PATH="/usr/local/sbin:$PATH"\n'
# The real packages leave the module loaded until the host reboots; here removing them takes all away at once.
UNLOAD = "systemctl stop nvidia-persistenced 2>/dev/null || true\nmodprobe --remove nvidia || true\n"


@dataclass(frozen=True)
class Package:
    """A binary package to build. Sources of `files` are absolute by now."""

    name: str
    version: str
    description: str
    fields: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)
    triggers: str = ""
    tree: Path | None = None

    @property
    def file_name(self) -> str:
        """The name of its .deb, without the version's epoch."""
        return f"{self.name}_{self.version.split(':')[-1]}_{ARCHITECTURE}.deb"


@dataclass(frozen=True)
class _Set:
    """A description, and what fills it in."""

    description: Path
    values: Mapping[str, str]
    sources: Sequence[Path] = ()

    def packages(self) -> list[Package]:
        text = self.description.read_text()
        for name, value in self.values.items():
            text = text.replace(f"@{name}@", value)
        if left := re.findall(r"@[A-Z]+@", text):
            names = ", ".join(sorted(set(left)))
            raise LabError(f"{self.description}: nothing fills in {names}", "add it in lab/packages.py")
        data = yaml.safe_load(text)
        return [self._package(data["version"], entry) for entry in data["packages"]]

    def _package(self, version: str, entry: Mapping[str, Any]) -> Package:
        return Package(
            name=entry["package"],
            version=version,
            description=entry["description"],
            fields={key.title(): entry[key] for key in RELATIONS if key in entry},
            files={target: self._find(source) for target, source in entry.get("files", {}).items()},
            texts=entry.get("texts", {}),
            links=entry.get("links", {}),
            scripts=_scripts(entry),
            triggers=entry.get("triggers", ""),
            tree=self._find(entry["tree"]) if "tree" in entry else None,
        )

    def _find(self, source: str) -> Path:
        folders = (self.description.parent.parent, *self.sources)
        found = [folder / source for folder in folders if (folder / source).exists()]
        if not found:
            places = ", ".join(map(str, folders))
            raise LabError(f"{self.description}: {source} is in none of {places}", "build it, or correct the name")
        return found[0]


def build() -> None:
    """Build the packages and lay out the repositories, unless they are current."""
    kept.keep(DIRECTORY, "Build the mirror's packages", _fill, *_inputs())


def driver_directory(version: str) -> Path:
    """The driver's double as built: libnvidia-ml.so.1, libcuda.so.1, nvidia-smi, two flavours of nvidia.ko."""
    target = paths.CACHE / "drivers" / version
    inputs = (LIBRARY, NVIDIA / "module", version, _versions()["nvml_dev"])
    kept.keep(target, f"Build the double of driver {version}", lambda new: _make_driver(version, new), *inputs)
    return target


def driver_versions() -> list[str]:
    """The driver versions that the vendor's repositories offer, the default one first."""
    versions = _versions()
    return [versions["driver"], *versions["drivers_beside"]]


def _inputs() -> Iterator[object]:
    yield from (Path(__file__), Path(signing.__file__), paths.PROJECT / "versions.yml", platform.release())
    yield from (NVIDIA, DOUBLES / "system/packages", DOUBLES / "snapd")
    yield programs.directory("nvidia-container-toolkit").name
    yield [file.name for name in rootfs.wanted() for file in _downloaded(name)]


def _fill(new: Path) -> None:
    shutil.copy(signing.public_key(), new / "groundwork-lab.asc")
    built = new / ".built"  # many repositories have the same packages
    built.mkdir()
    for name in rootfs.wanted():
        system = rootfs.find(name)
        debs = _build_debs(_ours(system.archive), built)
        _lay_out_suite(new / system.archive, system.suite, debs, _downloaded(name))
    for folder, sets in _vendors().items():
        packages = [package for each in sets for package in each.packages()]
        _lay_out_flat(new / "nvidia" / folder, _build_debs(packages, built))
    shutil.rmtree(built)


# ---- which packages, where ----


def _ours(archive: str) -> list[Package]:
    system = DOUBLES / "system/packages"
    sets = [_Set(system / "system.yml", _common()), _Set(system / "snapd.yml", {}, [DOUBLES / "snapd"])]
    if archive == "ubuntu":
        version, revision = driver_versions()[0], "0ubuntu0.24.04.1"
        sets += _ubuntu_sets(version, "-server", revision, "ubuntu-signed.yml")
        sets += [_driver_set("fabric.yml", version, REVISION=revision, BESIDE=f"-{_branch(version)}")]
    return [package for each in sets for package in each.packages()]


def _vendors() -> dict[str, list[_Set]]:
    debian = [_driver_set("cuda-debian.yml", version) for version in driver_versions()]
    branches = sorted({_branch(version) for version in driver_versions()})
    pinning = [_Set(NVIDIA / "packages/pinning.yml", {"BRANCH": branch}) for branch in branches]
    with_suffix = [version for version in driver_versions() if int(_branch(version)) < 590]  # later ones name no branch
    ubuntu = [each for version in with_suffix for each in _ubuntu_sets(version, "", "0ubuntu1", "ubuntu-dkms.yml")]
    fabric = [_driver_set("fabric.yml", version, REVISION="1", BESIDE="") for version in driver_versions()]
    fabric += [_Set(NVIDIA / "packages/nvlink5.yml", {})]
    toolkit = [programs.directory("nvidia-container-toolkit")]
    return {
        "cuda/debian12/x86_64": debian + fabric + pinning,
        "cuda/debian13/x86_64": debian + fabric + pinning,
        "cuda/ubuntu2404/x86_64": ubuntu + fabric + pinning,
        "container-toolkit/stable/deb/amd64": [_Set(NVIDIA / "packages/toolkit.yml", _common(), toolkit)],
    }


def _driver_set(name: str, version: str, **values: str) -> _Set:
    return _Set(NVIDIA / "packages" / name, _common() | {"DRIVER": version} | values, [driver_directory(version)])


def _ubuntu_sets(version: str, suffix: str, revision: str, modules: str) -> list[_Set]:
    values = {"SUFFIX": f"{_branch(version)}{suffix}", "REVISION": revision}
    return [_driver_set(name, version, **values) for name in ("ubuntu.yml", modules)]


def _common() -> dict[str, str]:
    kernel = platform.release()
    toolkit = str(_versions("nvidia")["container_toolkit"])
    return {"KERNEL": kernel, "FLAVOUR": kernel.rsplit("-", 1)[-1], "TOOLKIT": toolkit, "LAB": LAB_VERSION}


def _branch(version: str) -> str:
    return version.split(".")[0]


@cache
def _versions(section: str = "lab") -> dict[str, Any]:
    return dict(yaml.safe_load((paths.PROJECT / "versions.yml").read_text())[section])


def _downloaded(system: str) -> list[Path]:
    return sorted((paths.HOSTS / system / "debs").glob("*.deb"))


# ---- the driver's double ----


def _make_driver(version: str, new: Path) -> None:
    work = new / "work"
    work.mkdir()
    run(["make", "--silent", "-C", LIBRARY, f"INCLUDE={_headers()}", f"VERSION={version}", f"OUT={work}"])
    for name in DRIVER_FILES:
        (work / name).rename(new / name)
    shutil.rmtree(work)
    program = (NVIDIA / "module/nvidia.py").read_text().replace("@VERSION@", version)
    for name, flavour in {"nvidia.ko": "open", "nvidia-proprietary.ko": "proprietary"}.items():
        (new / name).write_text(program.replace("@FLAVOUR@", flavour))
        (new / name).chmod(0o755)


def _headers() -> Path:
    """Where nvml.h is: NVIDIA's, out of its package on PyPI; used to compile, and no part of what is built."""
    pin = _versions()["nvml_dev"]
    directory = paths.CACHE / "nvml"
    kept.keep(directory, "Download nvml.h", lambda new: _download_headers(new, pin["version"], pin["sha256"]), pin)
    return next(directory.rglob("nvml.h")).parent


def _download_headers(new: Path, version: str, sha256: str) -> None:
    requirement = new / "requirements.txt"
    requirement.write_text(f"nvidia-nvml-dev=={version} --hash=sha256:{sha256}\n")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "install"]
    run([*pip, "--no-deps", "--require-hashes", f"--target={new / 'python'}", f"--requirement={requirement}"])


# ---- one package ----


def _scripts(entry: Mapping[str, Any]) -> dict[str, str]:
    """The maintainer scripts: what the entry says, and what its services and modules need."""
    units = entry.get("service", "")
    stop = f"systemctl disable --now --quiet {units} || true\n" if units else ""
    unload = UNLOAD if entry.get("unload") else ""
    parts = {
        "postinst": _when("configure", entry.get("postinst", "") + _start(units)),
        "prerm": _when("remove", stop + unload) + _when("remove|upgrade", entry.get("prerm", "")),
        "postrm": _when("remove", entry.get("postrm", "")),
    }
    return {name: SCRIPT_HEAD + body for name, body in parts.items() if body}


def _start(units: str) -> str:
    """As Debian's packages do: a service that does not start fails no installation."""
    if not units:
        return ""
    return f"\nsystemctl daemon-reload\nsystemctl enable --quiet {units}\nsystemctl restart {units} || true\n"


def _when(actions: str, body: str) -> str:
    return f'case "$1" in {actions})\n{body.strip()}\n;; esac\n' if body.strip() else ""


def _build_debs(packages: Iterable[Package], folder: Path) -> list[Path]:
    """Build those that are not in `folder` yet; a name with a version stands for one package."""
    debs = {folder / package.file_name: package for package in packages}
    return [deb if deb.exists() else _build_deb(package, folder) for deb, package in debs.items()]


def _build_deb(package: Package, folder: Path) -> Path:
    root = folder / f".{package.name}"
    for target, source in package.files.items():
        _install(source, root, target)
    for target, text in package.texts.items():
        _place(root, target).write_text(text)
    for target, link in package.links.items():
        _place(root, target).symlink_to(link)
    if package.tree:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(package.tree, root, dirs_exist_ok=True, symlinks=True, ignore=ignore)
    _write_control(package, root / "DEBIAN")
    deb = folder / package.file_name
    dpkg = ["dpkg-deb", "--build", "--root-owner-group", "--uniform-compression", "-Zgzip"]
    run([*dpkg, root, deb], environment={"SOURCE_DATE_EPOCH": EPOCH})
    shutil.rmtree(root)
    return deb


def _place(root: Path, target: str) -> Path:
    path = root / target.removeprefix("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _install(source: Path, root: Path, target: str) -> None:
    path = _place(root, target)
    shutil.copyfile(source, path)
    path.chmod(0o755 if os.access(source, os.X_OK) else 0o644)


def _write_control(package: Package, folder: Path) -> None:
    folder.mkdir(parents=True)
    fields = {"Package": package.name, "Version": package.version, "Architecture": ARCHITECTURE, **package.fields}
    fields |= {"Maintainer": MAINTAINER, "Section": "misc", "Priority": "optional", "Description": package.description}
    (folder / "control").write_text("".join(f"{key}: {value}\n" for key, value in fields.items()))
    for name, text in package.scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    if package.triggers:
        (folder / "triggers").write_text(f"{package.triggers}\n")


# ---- repositories ----


def _lay_out_flat(folder: Path, debs: Iterable[Path]) -> None:
    """A repository without suites, as NVIDIA's are: `deb URL /`."""
    folder.mkdir(parents=True)
    for deb in debs:
        _link(deb, folder / deb.name)
    _index(folder, ".", folder)
    _release(folder, {"Origin": "NVIDIA (double)", "Label": "NVIDIA (double)"})


def _lay_out_suite(archive: Path, suite: str, ours: Iterable[Path], downloaded: Iterable[Path]) -> None:
    """One suite of an archive like Debian's, with the packages of ours over those of the same names."""
    pool = archive / "pool" / suite
    pool.mkdir(parents=True)
    names = {deb.name.split("_")[0]: deb for deb in [*downloaded, *ours]}
    for deb in names.values():
        _link(deb, pool / deb.name.replace("%3a", "."))
    dist = archive / "dists" / suite
    _index(archive, f"pool/{suite}", dist / "main" / f"binary-{ARCHITECTURE}")
    name = archive.name.title()
    values = {"Origin": name, "Label": name, "Suite": suite, "Codename": suite, "Components": "main"}
    _release(dist, values)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _index(root: Path, below: str, target: Path) -> None:
    """Write Packages and Packages.gz of the .debs in `root`/`below`; the file names in it are relative to `root`."""
    target.mkdir(parents=True, exist_ok=True)
    index = target / "Packages"
    listing = run(["env", f"--chdir={root}", "apt-ftparchive", "packages", below])
    index.write_text(listing.replace("Filename: ./", "Filename: "))
    run(["gzip", "--keep", "--no-name", "-9", index])


def _release(folder: Path, values: Mapping[str, str]) -> None:
    values = {**values, "Architectures": ARCHITECTURE}
    options = [f"-oAPT::FTPArchive::Release::{key}={value}" for key, value in values.items()]
    text = run(["apt-ftparchive", *options, "release", folder])
    (folder / "Release").write_text(text)
    signing.sign(folder / "Release")


if __name__ == "__main__":
    build()
