"""Hosts of a lab: made, started, stopped, removed, and reached over SSH.

What a host keeps lies below its directory: `upper`, all that it wrote over the layers of its root; `var-snap`, its
/var/snap, which cannot be part of an overlay because containerd makes overlays in it; `etc`, its /etc/lab. The
container itself keeps nothing and is made anew at each start.
"""

from __future__ import annotations

import json
import shutil
import socket
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from lab import cgroups, paths, rootfs, signing
from lab.doubles.nvidia import hardware
from lab.errors import LabError
from lab.model import GATEWAY, MIRROR, Host, Lab
from lab.podman import change, containers, holds, inside, podman
from lab.run import run, succeeds, wait_for

STOP_SECONDS = 25  # systemd in a host waits 10 s for its services
SSH_SECONDS = 60
_LABEL = "groundwork.lab"
_NAMES_BEGIN, _NAMES_END = "# the lab's hosts", "# end of the lab's hosts"
_OPTIONS = (
    *("--systemd=always", "--restart=always", f"--stop-timeout={STOP_SECONDS}", "--log-driver=none", "--no-hosts"),
    *("--tmpfs=/tmp:exec,mode=1777", "--tmpfs=/run:mode=755"),
)


def run_container(lab: Lab, name: str, address: str, arguments: Sequence[str], memory_mib: int | None = None) -> None:
    """Start a container of the lab in control groups of its own; it must not exist yet.

    Args:
        lab: which lab.
        name: its host name; the container is called <lab>-<name>.
        address: its address in the lab's network.
        arguments: what comes after `podman run`'s options of ours: further options, the image, the command.
        memory_mib: the limit of all its processes together.
    """
    group = f"{lab.name}/{name}"
    groups = cgroups.create(group, None if memory_mib is None else memory_mib << 20)
    options = ["--name", lab.container(name), "--label", f"{_LABEL}={lab.name}", "--hostname", name]
    # the same hardware address each time, or neighbours would send to the old one for a while
    options += ["--network", lab.network, "--ip", address, "--mac-address", _hardware_address(address)]
    options += ["--privileged", "--cgroupns", "private", "--cgroup-parent", f"/{cgroups.PARENT}/{group}"]
    if memory_mib is not None and not groups:
        options += ["--memory", f"{memory_mib}m"]
    change(lab.container(name), "run", "--detach", *options, *arguments, groups=groups)


def create(lab: Lab, host: Host) -> None:
    """Make what a host keeps; a host that was made stays as it is."""
    directory = lab.host_directory(host.name)
    if directory.exists():
        return
    with paths.replacing(directory) as new:
        for name in ("upper", "work", "root", "etc", "var-snap"):
            (new / name).mkdir(mode=0o755)
        (new / "layers").write_text("\n".join(map(str, rootfs.layers(host.os))))
        _identify(new / "upper", lab, host)
        (new / "etc/host.json").write_text(json.dumps({"name": host.name, "lab": lab.name, "address": host.address}))
        (new / "etc/snapd.json").write_text(json.dumps({"store": None}))
        if host.gpus:
            hardware.create(new / "etc", host.name, host.gpus.model, host.gpus.count, host.gpus.switches)


def start(lab: Lab, host: Host) -> None:
    """Start a host; one that runs is left alone."""
    if is_running(lab, host.name):
        return
    discard(lab, host.name)
    _mount_root(lab, host)
    paths.SNAP_CONTENTS.mkdir(parents=True, exist_ok=True)
    directory = lab.host_directory(host.name)
    volumes = {
        directory / "etc": "/etc/lab",
        directory / "var-snap": "/var/snap:rshared",
        paths.SNAP_CONTENTS: "/usr/lib/lab/snap-contents:ro",
    }
    options = [f"--volume={source}:{target}" for source, target in volumes.items()]
    arguments = [*_OPTIONS, *options, "--rootfs", str(directory / "root"), "/sbin/init"]
    run_container(lab, host.name, host.address, arguments, host.memory_mib)


def stop(lab: Lab, host: str, patience_seconds: int = STOP_SECONDS) -> None:
    """Shut a host down, as `systemctl poweroff` would; with no patience it loses its power instead."""
    discard(lab, host, patience_seconds)
    root = str(lab.host_directory(host) / "root")
    if root in _mounts():
        inside("umount", root)


def discard(lab: Lab, name: str, patience_seconds: int = STOP_SECONDS) -> None:
    """End a container of the lab and remove it, if there is one; after so many seconds it is killed."""
    container = lab.container(name)
    change(container, "rm", "--force", "--ignore", "--time", str(patience_seconds), container)


def is_running(lab: Lab, name: str) -> bool:
    """Tell whether a container of the lab runs."""
    container = lab.container(name)
    return (
        holds("container", "exists", container)
        and podman("container", "inspect", "--format", "{{.State.Running}}", container).strip() == "true"
    )


def states(lab: Lab) -> dict[str, str]:
    """Return the state of each of the lab's containers, such as "running", by host name."""
    prefix = lab.container("")
    return {each["Names"][0].removeprefix(prefix): each["State"] for each in containers(_LABEL, lab.name)}


def for_each(items: Iterable[str], action: Callable[[str], object]) -> None:
    """Do something for several hosts at once, and wait for all of them.

    Raises:
        LabError: it failed for one of them.
    """
    with ThreadPoolExecutor(max_workers=8) as pool:
        for future in [pool.submit(action, item) for item in items]:
            future.result()


def name_each_other(lab: Lab) -> None:
    """Write all names into each host's /etc/hosts, where a site has a name service; other lines stay."""
    names = [f"{lab.address(MIRROR)} mirror", *(f"{host.address} {host.name}" for host in lab.hosts)]
    for host in lab.hosts:
        file = str(lab.host_directory(host.name) / "root/etc/hosts")
        text = inside("cat", file)
        if (new := with_names(text, names)) != text:
            inside("sh", "-c", 'printf %s "$1" > "$2"', "sh", new, file)


def await_ssh(lab: Lab, names: Iterable[str]) -> None:
    """Wait until the hosts answer SSH.

    Raises:
        LabError: one does not.
    """
    for name in names:
        remedy = f"look into it: script/lab shell --lab {lab.name} --console {name} -- journalctl -b"
        wait_for(partial(_ssh_missing, lab.host(name)), SSH_SECONDS, remedy)


def _ssh_missing(host: Host) -> str:
    try:
        with socket.create_connection((host.address, 22), timeout=2) as connection:
            return "" if connection.recv(4) == b"SSH-" else f"{host.name} does not speak SSH"
    except OSError as error:
        return f"{host.name} does not answer SSH: {error}"


def ssh(lab: Lab, host: Host) -> list[str]:
    """Return the ssh command that reaches a host, to be followed by a command of it."""
    options = {
        "UserKnownHostsFile": lab.directory / "known_hosts",
        "StrictHostKeyChecking": "yes",
        "ConnectTimeout": 10,
        "LogLevel": "ERROR",
    }
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    return ["ssh", "-i", str(lab.directory / "id_ed25519"), *words, f"root@{host.address}"]


def boot_id(lab: Lab, host: Host) -> str:
    """Return what identifies this boot of a host; empty while it does not answer."""
    try:
        return run([*ssh(lab, host), "cat", "/proc/sys/kernel/random/boot_id"], timeout=20).strip()
    except LabError:
        return ""


def reboot(lab: Lab, host: Host) -> None:
    """Reboot a host from inside, and wait until it is back.

    Raises:
        LabError: it did not answer before, or does not come back.
    """
    before = boot_id(lab, host)
    if not before:
        raise LabError(f"{host.name} does not answer SSH", f"start the lab's hosts: script/lab up --lab {lab.name}")
    succeeds([*ssh(lab, host), "systemctl", "reboot"], timeout=30)  # which may end the connection before it says so
    remedy = f"look at it: script/lab status --lab {lab.name}"
    wait_for(lambda: f"{host.name} is not back" if boot_id(lab, host) in {"", before} else "", 120, remedy)


def create_keys(lab: Lab) -> None:
    """Make the key that opens the lab's hosts."""
    key = lab.directory / "id_ed25519"
    if not key.exists():
        _keygen(key, f"lab {lab.name}")


def know_hosts(lab: Lab) -> None:
    """Write the hosts' public keys where ssh looks for them, so that it need not trust who answers first."""
    lines = []
    for host in lab.hosts:
        key = (lab.host_directory(host.name) / "upper/etc/ssh/ssh_host_ed25519_key.pub").read_text()
        lines.append(f"{host.address},{host.name} {' '.join(key.split()[:2])}\n")
    (lab.directory / "known_hosts").write_text("".join(lines))


def with_names(text: str, names: Iterable[str]) -> str:
    """Return the text of an /etc/hosts with these lines as the lab's part of it; other lines stay."""
    lines = text.splitlines()
    if _NAMES_BEGIN in lines:
        del lines[lines.index(_NAMES_BEGIN) : lines.index(_NAMES_END) + 1]
    return "\n".join([*lines, _NAMES_BEGIN, *names, _NAMES_END]) + "\n"


def _mount_root(lab: Lab, host: Host) -> None:
    """Mount a host's root, unless it is; "volatile" leaves out the syncs that make packages slow to install."""
    directory = lab.host_directory(host.name)
    root, upper, work = (str(directory / name) for name in ("root", "upper", "work"))
    if root in _mounts():
        return
    shutil.rmtree(work)  # a volatile overlay marks it, so that nobody mounts it again by mistake
    Path(work).mkdir()
    layers = ":".join(map(str, lab.layers(host.name)))
    options = f"lowerdir={layers},upperdir={upper},workdir={work},volatile"
    inside("mount", "-t", "overlay", "-o", options, "overlay", root)


def _identify(upper: Path, lab: Lab, host: Host) -> None:
    """Write what makes a host different from the others."""
    files = {
        "etc/hostname": host.name,
        "etc/machine-id": uuid.uuid4().hex,
        # nobody answers there: the site has no internet, and its names are in /etc/hosts
        "etc/resolv.conf": f"nameserver {lab.address(GATEWAY)}",
        "etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback",
        "root/.ssh/authorized_keys": (lab.directory / "id_ed25519.pub").read_text().strip(),
        "usr/share/keyrings/groundwork-lab.asc": signing.public_key().read_text().strip(),
    }
    for name, text in files.items():
        file = upper / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    for private in ("root", "root/.ssh"):
        (upper / private).chmod(0o700)
    (upper / "etc/ssh").mkdir()
    _keygen(upper / "etc/ssh/ssh_host_ed25519_key", host.name)


def _keygen(file: Path, comment: str) -> None:
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(file)])


def _mounts() -> set[str]:
    """Mount points in the lab's namespace."""
    return {line.split()[4] for line in inside("cat", "/proc/self/mountinfo").splitlines()}


def _hardware_address(address: str) -> str:
    """A locally administered address that says the IPv4 address."""
    return ":".join(["02", "77", *(f"{int(part):02x}" for part in address.split("."))])
