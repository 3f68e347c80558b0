"""Jobs of this machine: a process that has left its terminal. It is locked while it runs, by the log that it writes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from mlstack.config import Config
from mlstack.jobs import project
from mlstack.jobs.record import Record, State

LOOK_SECONDS = 0.2
"""Nothing tells of a file's growth that every system has."""


class Local:
    """This machine (record.Place)."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def start(self, name: str, words: tuple[str, ...], folder: Path) -> int:  # one signature for all
        """Start the verb with the parameters of now; a later change of params.yaml does not reach it."""
        params = folder.resolve() / "params.yaml"
        params.write_text(project.params(self._config))
        return self.run(project.command(words, str(params)), folder)

    def run(self, command: list[str], folder: Path) -> int:
        """Start a program; the shell around it notes its exit status."""
        with (folder / "log").open("wb") as log:
            fcntl.flock(log, fcntl.LOCK_EX)  # held by who has inherited the file, until the last of them ended
            words = ["sh", "-c", '"$@"; echo $? >"$0"', str(folder.resolve() / "exit"), sys.executable, *command]
            return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True).pid

    def follow(self, record: Record, folder: Path) -> Iterator[str]:
        """The log, until nobody writes it any more."""
        with (folder / "log").open("rb") as log:
            while True:
                running = _locked(log)
                while text := log.read(65536):
                    yield text.decode(errors="replace")
                if not running:
                    return
                time.sleep(LOOK_SECONDS)

    def state(self, record: Record, folder: Path) -> State:
        """By the lock and the exit status; who was killed left none."""
        with (folder / "log").open("rb") as log:
            if _locked(log):
                return "running"
        try:
            return "succeeded" if (folder / "exit").read_text().strip() == "0" else "failed"
        except OSError:
            return "stopped"

    def stop(self, record: Record, folder: Path) -> None:
        """Ask it to end as Ctrl-C would: a training then goes on from its checkpoint when it is run again."""
        if self.state(record, folder) == "running":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(record.process, signal.SIGTERM)


def _locked(log: IO[bytes]) -> bool:
    try:
        fcntl.flock(log, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(log, fcntl.LOCK_UN)
    return False
