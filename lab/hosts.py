"""Hosts of a lab: made, started, stopped, removed, and reached over SSH."""

from __future__ import annotations

from collections.abc import Sequence

from lab import cgroups
from lab.model import Lab
from lab.podman import podman


def run_container(lab: Lab, name: str, address: str, arguments: Sequence[str], memory_mib: int | None = None) -> None:
    """Start a container of the lab in control groups of its own; it must not exist yet.

    Args:
        name: its host name; the container is called <lab>-<name>.
        address: its address in the lab's network.
        arguments: what comes after `podman run`'s options of ours: further options, the image, the command.
        memory_mib: the limit of all its processes together.
    """
    container = lab.container(name)
    groups = cgroups.create(container, None if memory_mib is None else memory_mib << 20)
    options = ["--name", container, "--hostname", name, "--network", lab.network, "--ip", address]
    options += ["--privileged", "--cgroupns", "private", "--cgroup-parent", f"/{cgroups.PARENT}/{container}"]
    podman("run", "--detach", *options, *arguments, groups=groups)
