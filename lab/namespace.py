"""The private mount namespace in which all labs of this cache run, so that no mount of theirs shows on the machine.

It also gives podman what it asks for on a hybrid machine: a pure cgroup2 at /sys/fs/cgroup. The namespace is kept by a
bind mount in paths.RUN, a tmpfs that goes with the last lab; after a reboot of the machine nothing of it is left and
it is made anew.
"""

from __future__ import annotations

import fcntl
import os
import resource
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab import cgroups, paths, settings
from lab.errors import LabError
from lab.run import run, succeeds

FILE = paths.RUN / "namespace/mount"
ENVIRONMENT = {
    "CONTAINERS_CONF": str(paths.RUN / "containers.conf"),
    "CONTAINERS_STORAGE_CONF": str(paths.RUN / "storage.conf"),
    "CONTAINERS_REGISTRIES_CONF": str(paths.RUN / "registries.conf"),
}
_HYBRID = "umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup"
# What podman and crun keep in places that cannot be set: addresses given out, network namespaces, containers' states.
_STATE_DIRECTORIES = ("/run/containers", "/run/netns", "/run/crun")
_SETTINGS = paths.RUN / "settings.json"

# lock_type, tmp_dir, network_config_dir: podman keeps these outside its storage by default, where another podman would
# meet ours.
_CONTAINERS = """\
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc=32768:32768"]
pids_limit = 0
[engine]
runtime = "crun"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
tmp_dir = "{run}/libpod"
volume_path = "{storage}/volumes"
image_copy_tmp_dir = "{storage}/tmp"
[network]
network_backend = "netavark"
network_config_dir = "{run}/networks"
"""
_STORAGE = """\
[storage]
driver = "overlay"
runroot = "{run}/storage"
graphroot = "{storage}"
"""
# nothing is ever pulled: a name without a registry is an image of our own
_REGISTRIES = "unqualified-search-registries = []\n"


@contextmanager
def held() -> Iterator[None]:
    """Have the namespace, and keep it from being released, while the block runs."""
    with _use(fcntl.LOCK_SH):
        _ensure()
        yield


def release() -> None:
    """Remove the namespace and podman's run-time state if no lab is left and nobody holds it."""
    try:
        with _use(fcntl.LOCK_EX | fcntl.LOCK_NB):
            if not any(paths.LABS.glob("*/lab.json")):
                _remove()
    except BlockingIOError:
        return


def entering(command: Sequence[str]) -> list[str]:
    """Return a command that runs `command` in the namespace, from the root directory."""
    return ["nsenter", f"--mount={FILE}", "--wd=/", "--", *command]


@contextmanager
def _use(kind: int) -> Iterator[None]:
    paths.CACHE.mkdir(parents=True, exist_ok=True)
    with (paths.CACHE / ".namespace.lock").open("w") as file:
        fcntl.flock(file, kind)
        yield


def _ensure() -> None:
    with paths.locked("namespace-making"):
        if not os.path.ismount(paths.RUN):
            _mount_run()
        _configure()
        if not _is_namespace(FILE):
            _create()


def _mount_run() -> None:
    paths.RUN.mkdir(parents=True, exist_ok=True)
    run(["mount", "-t", "tmpfs", "-o", "mode=0700", "groundwork", str(paths.RUN)])
    # a mount namespace can only be bound where mounts do not propagate (mount_namespaces(7))
    run(["mount", "--make-private", str(paths.RUN)])
    settings.save(_SETTINGS)


def _configure() -> None:
    (paths.STORAGE / "tmp").mkdir(parents=True, exist_ok=True)
    values = {"run": paths.RUN, "storage": paths.STORAGE, "files": resource.getrlimit(resource.RLIMIT_NOFILE)[1]}
    for name, text in (("containers", _CONTAINERS), ("storage", _STORAGE), ("registries", _REGISTRIES)):
        (paths.RUN / f"{name}.conf").write_text(text.format(**values))


def _create() -> None:
    """Make the namespace and bind it to FILE.

    The kernel refuses to bind a mount namespace whose number is not above the caller's, and since Linux 6.18 numbers
    come from a range per CPU: the same command succeeds or says "Invalid argument" by the CPU it happens to run on. So
    every CPU in turn.
    """
    FILE.parent.mkdir(exist_ok=True)
    FILE.touch()
    inner = " && ".join(_mounts())
    said = ""
    for cpu in sorted(os.sched_getaffinity(0)):
        command = ["taskset", "-c", str(cpu), "unshare", f"--mount={FILE}", "--propagation", "slave", "sh", "-c", inner]
        said = subprocess.run(command, capture_output=True, text=True).stderr
        if _is_namespace(FILE):
            return
    raise LabError(
        f"no mount namespace could be made at {FILE}: {said.strip()}",
        "run as root on a machine, not in a container without privileges",
    )


def _mounts() -> Iterator[str]:
    """Yield the commands that give the namespace its own mounts."""
    yield "set -e"
    if cgroups.v1(cgroups.mounted()):
        yield _HYBRID
    for directory in _STATE_DIRECTORIES:
        own = paths.RUN / "state" / Path(directory).name
        yield f"mkdir -p {own} {directory}"
        yield f"mount --bind {own} {directory}"


def _is_namespace(path: Path) -> bool:
    return path.exists() and run(["stat", "-f", "-c", "%T", str(path)]).strip() == "nsfs"


def _remove() -> None:
    if not os.path.ismount(paths.RUN):
        return
    settings.put_back(_SETTINGS)
    if _is_namespace(FILE):
        run(["umount", str(FILE)])
    run(["umount", str(paths.RUN)])
    # Those that are empty. Removing a directory takes away what other namespaces have mounted on it (Linux,
    # fs/namespace.c, __detach_mounts): labs of another cache would lose their containers' states.
    for directory in (str(paths.RUN), *_STATE_DIRECTORIES):
        if not _is_mounted_on_anywhere(directory):
            succeeds(["rmdir", directory])


def _is_mounted_on_anywhere(directory: str) -> bool:
    """Tell whether any process has something mounted on the directory, in whatever namespace."""
    return any(f" {directory} " in _read(table) for table in Path("/proc").glob("[0-9]*/mountinfo"))


def _read(table: Path) -> str:
    try:
        return table.read_text()
    except OSError:  # the process has ended
        return ""
