"""The site mirror of a lab: the cache's mirror tree over HTTP, and a registry of its images, in one container.

It is what a site without internet has. Everything that hosts download comes from here: packages, snaps, charts, Python
packages at http://mirror, images at http://mirror:5000 (each public registry a folder).
"""

from __future__ import annotations

import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from lab import debian, hosts, kept, paths
from lab.errors import LabError
from lab.model import MIRROR, Lab
from lab.progress import step
from lab.run import wait_for

NAME = "mirror"
SETTINGS = Path(__file__).with_name("mirror")
ROOT = paths.HOSTS / NAME
PACKAGES = ("base-files", "bash", "coreutils", "docker-registry", "nginx-light")
NOBODY = "65534:65534"
READY_SECONDS = 60


def build() -> None:
    """Unpack what the container runs."""
    kept.keep(ROOT, "Unpack the mirror's servers", _fill, PACKAGES, SETTINGS, Path(debian.__file__))


def _fill(new: Path) -> None:
    debian.unpack(PACKAGES, new / "root")
    settings = new / "root/etc/mirror"
    settings.mkdir()
    for file in SETTINGS.iterdir():  # readable for nobody, whatever umask the checkout was made under
        shutil.copyfile(file, settings / file.name)
        (settings / file.name).chmod(0o755)


def start(lab: Lab) -> None:
    """Start the lab's mirror, unless it runs, and wait until it answers.

    Raises:
        LabError: it does not answer.
    """
    with step(f"Start the mirror at {address(lab)}"):
        if not hosts.is_running(lab, NAME):
            hosts.discard(lab, NAME)
            hosts.run_container(lab, NAME, lab.address(MIRROR), arguments(lab))
        wait_for(lambda: missing(lab), READY_SECONDS, f"see what stands in its way: script/lab status --lab {lab.name}")


def stop(lab: Lab) -> None:
    """Remove the lab's mirror, if it is there; what it serves stays in the cache."""
    hosts.discard(lab, NAME)


def spoil(lab: Lab, path: str) -> None:
    """Serve one file with its last byte changed, in this lab alone, until `mend`.

    Raises:
        LabError: the mirror holds no such file.
    """
    file = paths.MIRROR / path
    if not file.is_file():
        raise LabError(f"the mirror holds no file {path!r}", f"choose one of those below {paths.MIRROR}")
    copy = _spoiled(lab) / path
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, copy)
    with copy.open("r+b") as content:
        content.seek(-1, os.SEEK_END)
        last = content.read(1)
        content.seek(-1, os.SEEK_END)
        content.write(bytes([last[0] ^ 0xFF]))
    stop(lab)
    start(lab)


def mend(lab: Lab) -> None:
    """Serve every file as it is, and run."""
    if _spoiled(lab).exists():
        shutil.rmtree(_spoiled(lab))
        stop(lab)
    start(lab)


def _spoiled(lab: Lab) -> Path:
    """Return where files lie that this lab's mirror serves in place of its own."""
    return lab.directory / "spoiled"


def state(lab: Lab) -> str:
    """Return podman's word for the container's state, or "absent"."""
    return hosts.states(lab).get(NAME, "absent")


def address(lab: Lab) -> str:
    """Return where it is for the machine; hosts call it http://mirror."""
    return f"http://{lab.address(MIRROR)}"


def missing(lab: Lab) -> str:
    """Say what of the mirror does not answer; an empty text when all does."""
    return " and ".join(filter(None, (unanswered(f"{address(lab)}/"), unanswered(f"{address(lab)}:5000/v2/"))))


def unanswered(url: str) -> str:
    """Say why a URL does not answer; an empty text when it does."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2):
            return ""
    except (urllib.error.URLError, OSError) as error:
        return f"{url} does not answer ({error})"


def arguments(lab: Lab) -> list[str]:
    """Return what comes after `podman run`'s common options: read-only mounts, nobody as user, and what it runs."""
    options = [f"--volume={paths.MIRROR}:/srv/mirror:ro", "--tmpfs=/tmp", "--tmpfs=/var/log", "--restart=always"]
    spoiled = [file for file in _spoiled(lab).rglob("*") if file.is_file()]
    options += [f"--volume={file}:/srv/mirror/{file.relative_to(_spoiled(lab))}:ro" for file in spoiled]
    options += [f"--user={NOBODY}", "--sysctl=net.ipv4.ip_unprivileged_port_start=0"]
    return [*options, "--rootfs", f"{ROOT}/root:O", "/etc/mirror/serve"]
