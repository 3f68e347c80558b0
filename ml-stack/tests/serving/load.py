"""Clients that ask without a pause, and what they were answered."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

BODY = json.dumps({"texts": ["wheat exports rose"]}).encode()
PAUSE_SECONDS = 0.01


@dataclass
class Load:
    """So many clients, each with a connection of its own, until the block ends.

    answers  status and version of each, in order of their end; status 0 where the connection failed
    """

    port: int
    clients: int = 4
    answers: list[tuple[int, str]] = field(default_factory=list)
    longest: float = 0.0

    def __enter__(self) -> Load:
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def until(self, done: Callable[[], bool], seconds: float = 60) -> None:
        """Go on until something is so."""
        until = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < until, f"not within {seconds} s; the last answers: {self.answers[-5:]}"
            time.sleep(PAUSE_SECONDS)

    def until_version(self, version: str) -> None:
        """Go on until a version answers."""
        self.until(lambda: self.answers[-1:] == [(200, version)])

    @property
    def failed(self) -> list[tuple[int, str]]:
        """What was no answer."""
        return [answer for answer in self.answers if answer[0] != 200]

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self._ending.wait(PAUSE_SECONDS):
            began = time.monotonic()
            try:
                connection.request("POST", "/predict", BODY)
                answer = connection.getresponse()
                told = json.loads(answer.read())
                self.answers.append((answer.status, told.get("model", {}).get("version", str(told))))
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.answers.append((0, repr(error)))
                connection.close()
            self.longest = max(self.longest, time.monotonic() - began)
