"""Programs of the host that the double calls."""

from __future__ import annotations

import subprocess

from .errors import SnapError


def run(*command: str) -> str:
    """Run a command and return what it printed.

    Raises:
        SnapError: it failed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SnapError(f"{' '.join(command[:3])}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def systemctl(*arguments: str) -> str:
    """Ask systemd."""
    return run("systemctl", *arguments)


def state_of(unit: str) -> tuple[str, str]:
    """Whether a unit is enabled, and whether it is active, in snapd's words."""
    enabled = subprocess.run(
        ["systemctl", "is-enabled", unit], capture_output=True, text=True, check=False
    ).stdout.strip()
    active = subprocess.run(
        ["systemctl", "is-active", unit], capture_output=True, text=True, check=False
    ).stdout.strip()
    running = active in ("active", "activating", "reloading")
    return ("enabled" if enabled == "enabled" else "disabled"), ("active" if running else "inactive")
