"""Running containers that lost their GPU: their device cgroup no longer allows the devices they were given.

`systemctl daemon-reload` under containerd's systemd cgroup driver does that to containers whose devices were added
behind runc's back (NVIDIA container toolkit, troubleshooting, "Containers losing access to GPUs"). NVML in such a
container says Unknown Error, while the node, the device plugin and new pods are well. Nothing is started in the
container: what it was given is in its OCI bundle, what it may open is in its cgroup.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.groundwork.check import Check, judge, skipped

NAME = "kubernetes_gpu.running_pods_keep_their_gpu"
BUNDLES = Path("/var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task/k8s.io")
"""One directory a container: containerd's state directory, with config.json and init.pid."""
NODE = re.compile(r"/dev/nvidia\d+$")
DEVICES_LINE = re.compile(r"^\d+:(?:[^:]*,)?devices(?:,[^:]*)?:(?P<path>/.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Device:
    """A character device by its path in the container and its numbers."""

    path: str
    major: int
    minor: int


@dataclass(frozen=True)
class Container:
    """A running container that was given GPUs. `allowed`: lines of devices.list, None where cgroup v2 has none."""

    pod: str
    name: str
    gpus: tuple[Device, ...]
    allowed: tuple[str, ...] | None

    @property
    def lost(self) -> tuple[Device, ...]:
        """GPUs that it was given and may not open; nothing is known of cgroup v2."""
        if self.allowed is None:
            return ()
        return tuple(gpu for gpu in self.gpus if not any(allows(line, gpu) for line in self.allowed))

    def to_dict(self) -> dict[str, object]:
        """The return shape of module container_gpu_access."""
        paths = {"gpus": [gpu.path for gpu in self.gpus], "lost": [gpu.path for gpu in self.lost]}
        return {"pod": self.pod, "name": self.name, **paths}


def observe(bundles: Path = BUNDLES, proc: Path = Path("/proc")) -> list[Container]:
    """Containers with GPUs that run on this host, by pod and name."""
    found = (_container(bundle, proc) for bundle in bundles.glob("*"))
    return sorted((container for container in found if container), key=lambda one: (one.pod, one.name))


def check(containers: Iterable[Container]) -> Check:
    """The verdict on this host."""
    found = list(containers)
    if not found:
        return skipped(NAME, "no container with a GPU runs here")
    if any(container.allowed is None for container in found):
        return skipped(NAME, "cgroup v2 keeps its device rules in a BPF program, which cannot be read back")
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


def _container(bundle: Path, proc: Path) -> Container | None:
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
    return Container(pod, name, given, _allowed(bundle, group, proc)) if given else None


def _allowed(bundle: Path, group: str, proc: Path) -> tuple[str, ...] | None:
    """The container's devices.list, seen from where containerd's shim lives: hosts may mount cgroups elsewhere."""
    match = DEVICES_LINE.search(group)
    if match is None:
        return None
    lists = (root / f"sys/fs/cgroup/devices{match['path']}/devices.list" for root in _roots(bundle, proc))
    text = next((path.read_text(encoding="ascii") for path in lists if path.exists()), None)
    return tuple(text.splitlines()) if text is not None else None


def _roots(bundle: Path, proc: Path) -> Iterator[Path]:
    """Root directories by process: this one's, then the shim's, the parent of the container's first process."""
    yield proc / "self/root"
    pid = (bundle / "init.pid").read_text(encoding="ascii").strip()
    status = (proc / pid / "status").read_text(encoding="utf-8")
    parent = re.search(r"^PPid:\s*(\d+)", status, re.MULTILINE)
    if parent:
        yield proc / parent[1] / "root"
