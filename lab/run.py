"""Commands of the machine, and conditions that are waited for."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lab.errors import LabError


def run(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
    uninterrupted: bool = False,
) -> str:
    """Run a command and return its standard output.

    Args:
        command: the program and its arguments.
        environment: variables set in addition to our own.
        stdin: text for its standard input, which is empty otherwise.
        timeout: seconds after which it is killed.
        uninterrupted: whether it is to end by itself even when we are interrupted (Ctrl-C).

    Raises:
        LabError: it is not installed, failed or took too long; the message holds the end of what it said.
    """
    words = [str(word) for word in command]
    try:
        done = _completed(words, {**os.environ, **(environment or {})}, stdin or "", timeout, uninterrupted)
    except FileNotFoundError as error:
        raise LabError(
            f"{error.filename} is not there", "install what lab/machine-packages.txt lists: script/setup does"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"no end of `{shlex.join(words)}` after {timeout:.0f} s", "look at what it waits for") from error
    if done.returncode:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        raise LabError(f"`{shlex.join(words)}` failed with status {done.returncode}:\n{said}", "see the message above")
    return done.stdout


def _completed(
    words: list[str], environment: Mapping[str, str], stdin: str, timeout: float | None, uninterrupted: bool
) -> subprocess.CompletedProcess[str]:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=uninterrupted
    ) as process:
        try:
            output, said = process.communicate(stdin, timeout)
        except KeyboardInterrupt:
            if not uninterrupted:
                process.kill()
            raise  # leaving the block waits for the end
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(words, process.returncode, output, said)


def succeeds(
    command: Sequence[str | Path], environment: Mapping[str, str] | None = None, timeout: float | None = None
) -> bool:
    """Tell whether a command ends well; for questions, where no is an answer."""
    try:
        run(command, environment=environment, timeout=timeout)
    except LabError:
        return False
    return True


def wait_for(condition: Callable[[], str], limit: float, remedy: str, interval: float = 0.1) -> None:
    """Wait until `condition` returns an empty text; what it returns otherwise says what is missing.

    Raises:
        LabError: something is still missing after `limit` seconds.
    """
    deadline = time.monotonic() + limit
    while missing := condition():
        if time.monotonic() > deadline:
            raise LabError(f"after {limit:.0f} s: {missing}", remedy)
        time.sleep(interval)  # between two looks at the condition; nothing to be notified by
