"""What this machine knows of the jobs that it submitted: a folder each in state/jobs."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol

from mlstack.config import Config
from mlstack.errors import UsageError
from mlstack.files import write_whole

Where = Literal["local", "ray", "rayjob"]
State = Literal["running", "succeeded", "failed", "stopped"]


@dataclass(frozen=True)
class Record:
    """A job that was submitted.

    where    this machine, the platform's Ray, or a cluster of its own
    words    the verb and its options
    process  its number, for `local`
    """

    name: str
    where: Where
    words: tuple[str, ...]
    process: int = 0

    def write(self, folder: Path) -> None:
        """Write it whole or not at all."""
        write_whole(folder / "job.json", json.dumps(asdict(self), indent=2) + "\n")


class Place(Protocol):
    """Where jobs run."""

    def start(self, name: str, words: tuple[str, ...], folder: Path) -> int:
        """Start a job; returns the number of its process where it is one of this machine's, else 0."""

    def follow(self, record: Record, folder: Path) -> Iterator[str]:
        """What the job says, from its begin, until it ended."""

    def state(self, record: Record, folder: Path) -> State:
        """How it is."""

    def stop(self, record: Record, folder: Path) -> None:
        """End it."""


def submit(config: Config, where: Where, words: tuple[str, ...], place: Place) -> Record:
    """Start a job at a place, under a new name."""
    name = f"{words[0]}-{time.strftime('%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
    folder = _jobs(config) / name
    folder.mkdir(parents=True)
    try:
        record = Record(name, where, words, place.start(name, words, folder))
    except BaseException:
        folder.rename(folder.with_name(f".{name}"))  # it never ran; what it left may say why
        raise
    record.write(folder)
    return record


def find(config: Config, name: str) -> tuple[Record, Path]:
    """A job by its name, the newest one where it is empty. Raises UsageError where there is none."""
    known = sorted(_jobs(config).glob("[!.]*/job.json"), key=lambda path: path.stat().st_mtime)
    found = [path for path in known if not name or path.parent.name == name]
    if not found:
        names = ", ".join(path.parent.name for path in known[-5:]) or "none"
        raise UsageError(f"there is no job {name or 'yet'}", f"The newest are: {names}. `mlstack submit` makes one.")
    given = json.loads(found[-1].read_text())
    return Record(**given | {"words": tuple(given["words"])}), found[-1].parent


def watch(place: Place, record: Record, folder: Path, tell: Callable[[str], None]) -> State | None:
    """Tell what a job says until it ended; None where the one who watches went away (Ctrl-C), and the job goes on."""
    try:
        for text in place.follow(record, folder):
            tell(text)
        return place.state(record, folder)
    except KeyboardInterrupt:
        return None


def _jobs(config: Config) -> Path:
    return config.platform.state / "jobs"
