"""Commands on the host, always with a limit of time."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ansible.module_utils.groundwork.errors import GroundworkError

MISSING = 127
"""The exit status of a command that is not there, as a shell gives it."""


@dataclass(frozen=True)
class Output:
    """What a command left: exit status and its two streams."""

    code: int
    stdout: str = ""
    stderr: str = ""

    @property
    def text(self) -> str:
        """What it said, on either stream, for an error message."""
        return " ".join(part for part in (self.stdout.strip(), self.stderr.strip()) if part)


class Run(Protocol):
    """Runs a command; tests answer from tables instead."""

    def __call__(self, argv: Sequence[str], timeout_seconds: float) -> Output:
        """Its output, whatever the exit status; raises GroundworkError past the limit of time."""


def run(argv: Sequence[str], timeout_seconds: float) -> Output:
    """Run a command with C's locale; the whole process group ends when the time is up.

    Raises GroundworkError when it takes longer than `timeout_seconds`.
    """
    environment = os.environ | {"LC_ALL": "C.UTF-8", "LANGUAGE": "C"}
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
            start_new_session=True,
        )
    except FileNotFoundError:
        return Output(MISSING, "", f"{argv[0]}: command not found")
    with process:
        try:
            stdout, stderr = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise GroundworkError(
                f"`{' '.join(argv)}` took longer than {timeout_seconds:g} s",
                "See whether the host is overloaded or the service behind it hangs; then run again.",
            ) from None
    return Output(process.returncode, stdout, stderr)
