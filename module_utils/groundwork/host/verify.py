"""Whether a host is as role host_base left it."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.groundwork.check import Check, judge

Resolve = Callable[[str], "str | None"]


@dataclass(frozen=True)
class Wanted:
    """What a host should be.

    addresses  the address that each node's name should resolve to
    kernel     kernel settings by their names with dots
    venv       the virtual environment of our modules, and what it must import
    """

    addresses: Mapping[str, str]
    kernel: Mapping[str, str]
    venv: Path
    imports: tuple[str, ...]


def check(wanted: Wanted) -> list[Check]:
    """Every verdict, by asking this host."""
    return [
        names(wanted.addresses, _resolve),
        kernel(wanted.kernel, {name: _kernel_setting(name) for name in wanted.kernel}),
        _venv(wanted),
    ]


def names(addresses: Mapping[str, str], resolve: Resolve) -> Check:
    """Whether every node's name resolves to its address; joining refuses a node whose name does not."""
    wrong = [
        f"{name} is {resolve(name) or 'unknown'}, not {address}"
        for name, address in addresses.items()
        if resolve(name) != address
    ]
    return judge(
        "host_base.names_resolve",
        not wrong,
        "; ".join(wrong) or f"{len(addresses)} names",
        "every node's name resolves to its address",
        "Run playbooks/hosts.yml, and look for another entry of that name in /etc/hosts.",
    )


def kernel(wanted: Mapping[str, str], found: Mapping[str, str | None]) -> Check:
    """Whether kernel settings have the wanted values."""
    wrong = [f"{name} = {found.get(name)}" for name, value in wanted.items() if found.get(name) != value]
    return judge(
        "host_base.kernel_settings_hold",
        not wrong,
        ", ".join(wrong) or f"{len(wanted)} as declared",
        ", ".join(f"{name} = {value}" for name, value in wanted.items()),
        "Run playbooks/hosts.yml; if it comes back, look for another file in /etc/sysctl.d that sets it.",
    )


def _venv(wanted: Wanted) -> Check:
    python = wanted.venv / "bin/python"
    try:
        answer = subprocess.run(
            [str(python), "-c", f"import {', '.join(wanted.imports)}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        found = answer.stderr.strip().splitlines()[-1:] if answer.returncode else []
    except (OSError, subprocess.TimeoutExpired) as error:
        found = [str(error)]
    return judge(
        "host_base.venv_works",
        not found,
        found[0] if found else f"{python} imports {', '.join(wanted.imports)}",
        f"{python} imports {', '.join(wanted.imports)}",
        f"Remove {wanted.venv} and run playbooks/hosts.yml: an upgrade of the system's Python leaves it behind.",
    )


def _resolve(name: str) -> str | None:
    """The address that programs of this host get; None where there is none."""
    try:
        return socket.gethostbyname(name)
    except OSError:
        return None


def _kernel_setting(name: str) -> str | None:
    """The value as sysctl prints it, its columns separated by one space; None where the kernel has no such setting."""
    try:
        return " ".join(Path("/proc/sys", *name.split(".")).read_text().split())
    except OSError:
        return None
