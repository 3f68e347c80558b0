"""This node: where MicroK8s keeps things on it, its locks, its addresses."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

# Where MicroK8s sleeps a fixed 5, 6 or 10 seconds, the double sleeps this long; what it waits for it waits for as well.
PAUSE_SECONDS = 1.0

API_PORT = 16443
AGENT_PORT = 25000
DATASTORE_PORT = 19001
GROUP = "microk8s"
CNI_INTERFACES = ("vxlan.calico", "flannel.1", "cni0", "ovn0")


class CommandError(Exception):
    """A command cannot go on: the line it prints, and its exit status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def snap() -> Path:
    """The snap's contents, $SNAP."""
    return Path(os.environ["SNAP"])


def data() -> Path:
    """This revision's data, $SNAP_DATA."""
    return Path(os.environ["SNAP_DATA"])


def common() -> Path:
    """Data of all revisions, $SNAP_COMMON."""
    return Path(os.environ["SNAP_COMMON"])


def arguments_file(name: str) -> Path:
    """A file under args/."""
    return data() / "args" / name


def certificate(name: str) -> Path:
    """A file under certs/."""
    return data() / "certs" / name


def credential(name: str) -> Path:
    """A file under credentials/."""
    return data() / "credentials" / name


def backend() -> Path:
    """The datastore's folder."""
    return data() / "var/kubernetes/backend"


def lock(name: str) -> Path:
    """A lock file; most of MicroK8s's state is such files."""
    return data() / "var/lock" / name


def locked(name: str) -> bool:
    """Whether a lock file is there."""
    return lock(name).exists()


def set_lock(name: str, there: bool = True) -> None:
    """Create or remove a lock file."""
    if there:
        lock(name).parent.mkdir(parents=True, exist_ok=True)
        lock(name).touch()
    else:
        lock(name).unlink(missing_ok=True)


def hostname() -> str:
    """The name of this node."""
    return socket.gethostname().lower()


def addresses() -> list[str]:
    """The host's addresses in the order of `hostname -I`, without link-local ones and the pod network's [get_ips]."""
    pods = pod_addresses(_output("ip", "-o", "-4", "addr", "list"))
    every = dict.fromkeys(_output("hostname", "-I").split())
    return [each for each in every if not each.startswith("169.254.") and each not in pods]


def pod_addresses(listed: str) -> set[str]:
    """Addresses of the pod network's interfaces on this host, out of what `ip -o -4 addr list` prints.

    Unlike Calico's, the host's ends of the lab's pods have an address, each the same; were it taken for one of the
    host's own, the first pod would have the server's certificate made anew, and with it everything restarted.
    """
    rows = [line.split() for line in listed.splitlines()]
    return {row[3].partition("/")[0] for row in rows if row[1] in CNI_INTERFACES or row[1].startswith("veth")}


def default_address() -> str:
    """The address of the default route's interface, or "none" [get_default_ip]."""
    words = _output("ip", "-4", "route", "get", "1.1.1.1").split()
    return words[words.index("src") + 1] if "src" in words else "none"


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def wait_for(condition: Callable[[], bool], seconds: float, interval: float = 0.5) -> bool:
    """Look at a condition until it holds; False if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def restrict(*folders: Path) -> None:
    """Give folders to root and the group microk8s alone [hooks/configure]."""
    there = [str(folder) for folder in folders if folder.exists()]
    subprocess.run(["chmod", "-R", "ug+rwX,o-rwX", *there], check=False)
    subprocess.run(["chgrp", "-R", GROUP, *there], check=False, capture_output=True)


def write_private(file: Path, text: str) -> None:
    """Write a file that only root and the group microk8s may read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    new.write_text(text)
    new.chmod(0o660)
    subprocess.run(["chgrp", GROUP, str(new)], check=False, capture_output=True)
    new.rename(file)
