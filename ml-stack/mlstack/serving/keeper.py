"""A Ray of our own for serving: a process that starts it, keeps it when the command ends, and takes it along when told.

`ray start` and `ray stop` know one Ray a machine, and the latter ends all of them. This one is reached only with the
token in its folder, and nothing else attaches to it by accident.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from mlstack.errors import MlstackError
from mlstack.files import write_whole
from mlstack.progress import say

START_SECONDS = 180.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.1
LOOKS = 10
START_TRIES = 3
SAY_SECONDS = 5.0
OBJECT_STORE_BYTES = 100_000_000
"""Ray's least is 75 MB; requests do not go through it."""
ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",  # its 5 s are too few for imports on a busy machine
    # HAProxy, which comes with ray[serve], instead of a proxy in Python; replicas without detours through threads.
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "5",  # not 30: HAProxy hears at once of a replica that ends
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "mlstack.serving.proxy.middlewares",
}


@dataclass(frozen=True)
class Keeper:
    """The folder of one: its lock (held while it lives), address, token and log."""

    folder: Path

    @property
    def log(self) -> Path:
        """What it and Ray say."""
        return self.folder / "keeper.log"

    def running(self) -> bool:
        """Whether it lives: its lock is the only proof, since a pid may be another's by now."""
        with self._lock() as is_ours:
            return not is_ours

    def ensure(self) -> str:
        """Ray's address; it is started where it does not run. Raises MlstackError where it does not come up."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.running():
            self._address.unlink(missing_ok=True)
            process = self._start()
            wait("Starting Ray", lambda: self._address.exists() or process.poll() is not None, START_SECONDS)
        else:
            wait("Waiting for Ray", self._address.exists, START_SECONDS)
        if not self._address.exists():
            raise MlstackError("Ray does not start", f"Read {self.log}; mlstack deploy --stop ends what is left of it.")
        return str(json.loads(self._address.read_text())["address"])

    def stop(self) -> bool:
        """End it and its Ray; whether it ran."""
        if not self.running():
            return False
        pid = int((self.folder / "pid").read_text())
        os.kill(pid, signal.SIGTERM)
        if not wait("Stopping", lambda: not self.running(), STOP_SECONDS):
            os.killpg(pid, signal.SIGKILL)
        self._address.unlink(missing_ok=True)
        return True

    def environment(self) -> dict[str, str]:
        """What processes that talk to its Ray need."""
        return ENVIRONMENT | {"RAY_AUTH_TOKEN_PATH": str(self._token())}

    @contextlib.contextmanager
    def _lock(self, tries: int = 1) -> Iterator[bool]:
        """The lock, if nobody has it; who only looks has it for a moment."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / "lock").open("a") as file:
            yield any(_locked(file) for _ in range(tries))

    @property
    def _address(self) -> Path:
        return self.folder / "ray.json"

    def _token(self) -> Path:
        """Ours alone to read, and whole as soon as it has its name."""
        path = (self.folder / "token").resolve()
        if not path.exists():
            with tempfile.NamedTemporaryFile("w", dir=self.folder) as file, contextlib.suppress(FileExistsError):
                file.write(secrets.token_hex(32))
                file.flush()
                os.link(file.name, path)
        return path

    def _start(self) -> subprocess.Popen[bytes]:
        package = str(Path(__file__).parents[2])  # replicas import mlstack wherever it was run from
        paths = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "mlstack.serving.keeper", str(self.folder.resolve())],
                env=os.environ | self.environment() | {"PYTHONPATH": paths},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def keep(self) -> None:
        """Be the keeper until told to end; at once where there is one already."""
        ending = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: ending.set())
        with self._lock(LOOKS) as is_ours:
            if not is_ours:
                return
            (self.folder / "pid").write_text(str(os.getpid()))
            # Not within our folder: a socket's path has at most 107 characters.
            sockets = tempfile.mkdtemp(prefix="mlstack-")
            try:
                self._keep(sockets, ending)
            finally:
                self._address.unlink(missing_ok=True)
                shutil.rmtree(sockets, ignore_errors=True)

    def _keep(self, sockets: str, ending: threading.Event) -> None:
        import ray

        os.environ.update(_haproxy(Path(sockets)))
        found = _init(sockets)
        signal.signal(signal.SIGTERM, lambda *_: ending.set())  # Ray has set its own
        write_whole(self._address, json.dumps({"address": found.address_info["gcs_address"]}))
        ending.wait()
        ray.shutdown()


def _init(sockets: str) -> Any:
    """Start Ray, and again where a busy machine takes longer than the 30 s that its nodes have (node.py)."""
    import ray

    def start() -> Any:
        return ray.init(
            address="local",
            num_cpus=os.cpu_count(),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
            _temp_dir=sockets,
        )

    for _ in range(START_TRIES - 1):
        try:
            return start()
        except Exception as error:  # noqa: BLE001 - Ray raises no narrower one
            say(f"Ray did not start: {error}")
            ray.shutdown()
    return start()


def _haproxy(folder: Path) -> dict[str, str]:
    """Its files and ports, whose defaults two users of a machine would share."""
    return {
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "haproxy.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "haproxy.state"),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(free_port()),
    }


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


def _locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(POLL_SECONDS)
        return False
    return True


def wait(title: str, done: Callable[[], bool], seconds: float) -> bool:
    """Wait for something that another process does; whether it came within so many seconds."""
    began = said = time.monotonic()
    while not done():
        now = time.monotonic()
        if now - began > seconds:
            return False
        if now - said > SAY_SECONDS:
            said = now
            say(f"{title}: {now - began:.0f} s so far")
        time.sleep(POLL_SECONDS)
    return True


if __name__ == "__main__":
    Keeper(Path(sys.argv[1])).keep()
