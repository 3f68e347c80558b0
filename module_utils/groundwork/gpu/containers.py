"""Running containers that lost their GPU: their device cgroup no longer allows the devices they were given.

`systemctl daemon-reload` under containerd's systemd cgroup driver does that to containers whose devices were added
behind runc's back (NVIDIA container toolkit, troubleshooting, "Containers losing access to GPUs"). NVML in such a
container says Unknown Error, while the node, the device plugin and new pods are well. Nothing is started in the
container: what it was given is in its OCI bundle, what it may open is in its cgroup. Version 1 lists that; version 2
keeps it in a program of the kernel's, which nobody can read, so a process of ours enters the cgroup for a moment and
asks access(2), which opens nothing.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.groundwork import child
from ansible.module_utils.groundwork.check import Check, judge, skipped
from ansible.module_utils.groundwork.errors import GroundworkError

NAME = "kubernetes_gpu.running_pods_keep_their_gpu"
BUNDLES = Path("/var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task/k8s.io")
"""One directory a container: containerd's state directory, with config.json and init.pid."""
NODE = re.compile(r"/dev/nvidia\d+$")
UNIFIED_LINE = re.compile(r"^0::(?P<path>/.*)$", re.MULTILINE)
UNIFIED_MOUNTS = ("sys/fs/cgroup", "sys/fs/cgroup/unified")  # where version 2 is alone, and beside version 1
PROBE_SECONDS = 10.0
Probe = Callable[[Path, Sequence[Path]], "list[bool]"]
"""Whether a process in a cgroup may read and write each of the device nodes."""
DEVICES_LINE = re.compile(r"^\d+:(?:[^:]*,)?devices(?:,[^:]*)?:(?P<path>/.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Device:
    """A character device by its path in the container and its numbers."""

    path: str
    major: int
    minor: int


@dataclass(frozen=True)
class Container:
    """A running container that was given GPUs. `lost`: those that it may not open; None where nobody could tell."""

    pod: str
    name: str
    gpus: tuple[Device, ...]
    lost: tuple[Device, ...] | None

    def to_dict(self) -> dict[str, object]:
        """The return shape of module container_gpu_access."""
        paths = {"gpus": [gpu.path for gpu in self.gpus], "lost": [gpu.path for gpu in self.lost or ()]}
        return {"pod": self.pod, "name": self.name, **paths}


def observe(bundles: Path = BUNDLES, proc: Path = Path("/proc"), probe: Probe | None = None) -> list[Container]:
    """Containers with GPUs that run on this host, by pod and name."""
    found = (_container(bundle, proc, probe or enter) for bundle in bundles.glob("*"))
    return sorted((container for container in found if container), key=lambda one: (one.pod, one.name))


def check(containers: Iterable[Container]) -> Check:
    """The verdict on this host."""
    found = list(containers)
    if not found:
        return skipped(NAME, "no container with a GPU runs here")
    unknown = [container.pod for container in found if container.lost is None]
    if unknown:
        return skipped(NAME, f"the cgroup's device rules could not be asked: {', '.join(unknown)}")
    faults = [
        f"{one.pod}, container {one.name}: {', '.join(gpu.path for gpu in one.lost)}" for one in found if one.lost
    ]
    return judge(
        NAME,
        not faults,
        "; ".join(faults) or f"{len(found)} containers keep their GPUs",
        "every running container may open the GPUs that it was given",
        "Delete these pods, so that their controllers make new ones. It comes back with every `systemctl daemon-reload`"
        " unless GPUs are given by CDI (the device plugin's deviceListStrategy cdi-cri), or cgroupfs is the driver.",
    )


def enter(group: Path, nodes: Sequence[Path]) -> list[bool]:
    """Ask from within a cgroup of version 2; a child goes there, and ends.

    access(2) asks the cgroup's device program, too (devcgroup_inode_permission in the kernel's fs/namei.c).
    Raises GroundworkError where the child may not enter, or is gone.
    """

    def work() -> list[bool]:
        try:
            (group / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
        except OSError as error:
            raise GroundworkError(f"{group} cannot be entered: {error.strerror}", "") from error
        return [os.access(node, os.R_OK | os.W_OK) for node in nodes]

    return child.call(work, PROBE_SECONDS, f"the cgroup {group.name}")


def allows(line: str, device: Device) -> bool:
    """Whether a line of devices.list lets a container read and write a character device.

    https://docs.kernel.org/admin-guide/cgroup-v1/devices.html

    >>> allows("c 195:* rw", Device("/dev/nvidia0", 195, 0))
    True
    """
    kind, numbers, access = line.split()
    major, minor = numbers.split(":")
    return (
        kind in ("a", "c")
        and major in ("*", str(device.major))
        and minor in ("*", str(device.minor))
        and {"r", "w"} <= set(access)
    )


def gpus(specification: Mapping[str, Any]) -> tuple[Device, ...]:
    """The GPUs that an OCI specification gives a container; a privileged one has all and was given none."""
    linux = specification.get("linux") or {}
    devices = () if _is_privileged(linux) else linux.get("devices") or ()
    return tuple(
        Device(device["path"], device["major"], device["minor"]) for device in devices if NODE.match(device["path"])
    )


def _is_privileged(linux: Mapping[str, Any]) -> bool:
    """Whether its device rules begin by allowing all there is."""
    rules = (linux.get("resources") or {}).get("devices") or ()
    return any(rule["allow"] and "major" not in rule and "w" in rule.get("access", "") for rule in rules)


def _container(bundle: Path, proc: Path, probe: Probe) -> Container | None:
    """None for a container without GPUs, and for one that ended while it was looked at."""
    try:
        specification = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
        pid = (bundle / "init.pid").read_text(encoding="ascii").strip()
        group = (proc / pid / "cgroup").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    given = gpus(specification)
    notes = specification.get("annotations") or {}
    pod = f"{notes.get('io.kubernetes.cri.sandbox-namespace')}/{notes.get('io.kubernetes.cri.sandbox-name')}"
    name = str(notes.get("io.kubernetes.cri.container-name"))
    return Container(pod, name, given, _lost(given, bundle, group, proc, probe)) if given else None


def _lost(given: tuple[Device, ...], bundle: Path, group: str, proc: Path, probe: Probe) -> tuple[Device, ...] | None:
    """By devices.list where the cgroup is of version 1, else by going there; None where neither can be done."""
    if version_1 := DEVICES_LINE.search(group):
        lists = _seen(f"sys/fs/cgroup/devices{version_1['path']}/devices.list", bundle, proc)
        text = next((path.read_text(encoding="ascii") for path in lists), None)
        allowed = None if text is None else text.splitlines()
        return (
            None if allowed is None else tuple(gpu for gpu in given if not any(allows(line, gpu) for line in allowed))
        )
    version_2 = UNIFIED_LINE.search(group)
    places = [f"{mount}{version_2['path']}/cgroup.procs" for mount in UNIFIED_MOUNTS] if version_2 else []
    found = next((path.parent for place in places for path in _seen(place, bundle, proc)), None)
    return None if found is None else _refused(given, found, bundle, proc, probe)


def _refused(
    given: tuple[Device, ...], group: Path, bundle: Path, proc: Path, probe: Probe
) -> tuple[Device, ...] | None:
    """What a process in the cgroup may not open of the nodes in the container; None where it could not be asked."""
    root = proc / (bundle / "init.pid").read_text(encoding="ascii").strip() / "root"
    try:
        answers = probe(group, [root / gpu.path.lstrip("/") for gpu in given])
    except GroundworkError:
        return None
    return tuple(gpu for gpu, may in zip(given, answers, strict=True) if not may)


def _seen(path: str, bundle: Path, proc: Path) -> Iterator[Path]:
    """A file where it is there, seen from here and from where containerd's shim lives: cgroups may be mounted there."""
    yield from (found for root in _roots(bundle, proc) if (found := root / path).exists())


def _roots(bundle: Path, proc: Path) -> Iterator[Path]:
    """Root directories by process: this one's, then the shim's, the parent of the container's first process."""
    yield proc / "self/root"
    pid = (bundle / "init.pid").read_text(encoding="ascii").strip()
    status = (proc / pid / "status").read_text(encoding="utf-8")
    parent = re.search(r"^PPid:\s*(\d+)", status, re.MULTILINE)
    if parent:
        yield proc / parent[1] / "root"
