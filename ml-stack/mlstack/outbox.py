"""What a run has to tell MLflow, on disk before anything else: an outage or a kill loses none of it.

run.json      experiment, name and begin of the run
events.jsonl  a line each: metrics, params, tags, artifacts, the end
sent.json     the run's id at MLflow, and how many bytes of events it has
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlstack.files import write_whole


@dataclass(frozen=True)
class Sent:
    """How far MLflow knows.

    server  the tracking URI that `run_id` and `offset` belong to; another server is told from the begin
    """

    server: str = ""
    run_id: str = ""
    offset: int = 0


class Outbox:
    """A run's folder; one process writes, one thread sends.

    Args:
        folder: made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._events = folder / "events.jsonl"
        self._writing = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def begin(self, experiment: str, name: str) -> None:
        """Note what the run is; a run that goes on keeps its begin."""
        path = self.folder / "run.json"
        if not path.exists():
            write_whole(path, json.dumps({"experiment": experiment, "name": name, "began": now()}))
        self._mend()

    def run(self) -> dict[str, Any]:
        """`experiment`, `name`, and `began` in milliseconds since 1970."""
        found: dict[str, Any] = json.loads((self.folder / "run.json").read_text())
        return found

    def add(self, event: Mapping[str, Any]) -> None:
        """Note one event. It is the operating system's at once, so a killed process loses none."""
        line = json.dumps({"time": now(), **event}) + "\n"
        with self._writing, self._events.open("a") as file:
            file.write(line)

    def unsent(self, sent: Sent, most: int) -> tuple[list[dict[str, Any]], int]:
        """At most so many events that MLflow does not have, and the offset behind them."""
        events: list[dict[str, Any]] = []
        offset = sent.offset
        for line in self._lines(offset):
            if len(events) == most:
                break
            events.append(json.loads(line))
            offset += len(line)
        return events, offset

    def sent(self, server: str) -> Sent:
        """How far a server knows."""
        path = self.folder / "sent.json"
        found = Sent(**json.loads(path.read_text())) if path.exists() else Sent()
        return found if found.server == server else Sent(server=server)

    def note_sent(self, sent: Sent) -> None:
        """Note how far a server knows."""
        write_whole(self.folder / "sent.json", json.dumps(asdict(sent)))

    def _lines(self, offset: int) -> Iterator[bytes]:
        """Whole lines only: one may be about to be written."""
        if not self._events.exists():
            return
        with self._events.open("rb") as file:
            file.seek(offset)
            yield from (line for line in file if line.endswith(b"\n"))

    def _mend(self) -> None:
        """End a line that a full disk or a lost machine cut off: what follows must not be glued to it."""
        if not self._events.exists():
            return
        data = self._events.read_bytes()
        if data and not data.endswith(b"\n"):
            with self._events.open("r+b") as file:
                file.truncate(data.rfind(b"\n") + 1)


def now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return time.time_ns() // 1_000_000
