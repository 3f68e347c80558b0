"""Programs that the double calls."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from . import node


def run(*command: str | Path, stdin: str | None = None, timeout: float | None = None) -> str:
    """Run a command and return what it printed.

    Raises:
        subprocess.CalledProcessError: it failed; with what it said.
    """
    done = subprocess.run(
        [str(word) for word in command], input=stdin, capture_output=True, text=True, check=True, timeout=timeout
    )
    return done.stdout


def succeeds(*command: str | Path, stdin: str | None = None) -> bool:
    """Tell whether a command ends well."""
    words = [str(word) for word in command]
    return subprocess.run(words, input=stdin, capture_output=True, text=True, check=False).returncode == 0


def service(verb: str, name: str) -> None:
    """Start, stop or restart a service of MicroK8s; the parts of kubelite all mean kubelite [service()].

    Raises:
        subprocess.CalledProcessError: snapd refused.
    """
    if name in ("apiserver", "kubelet", "proxy", "scheduler", "controller-manager"):
        name = "kubelite"
    subprocess.run(["snapctl", verb, f"microk8s.daemon-{name}"], check=True)


def snapctl(*arguments: str) -> None:
    """Ask snapd, as a snap's own programs do."""
    subprocess.run(["snapctl", *arguments], check=True)


def require_sudo() -> None:
    """MicroK8s calls sudo even as root [run_with_sudo]."""
    if shutil.which("sudo") is None:
        raise node.CommandError(f"{node.snap()}/actions/common/utils.sh: line 95: sudo: command not found", 127)


def require_root() -> None:
    """Refuse everybody but root."""
    if os.geteuid() != 0:
        raise node.CommandError(
            "Elevated permissions is needed for this operation. Please run this command with sudo.", 1
        )


def become(program: Path | str, *arguments: str) -> None:
    """Replace this process by a program."""
    os.execv(program, [str(program), *arguments])
