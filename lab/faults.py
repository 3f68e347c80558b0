"""Faults as verbs: what breaks in a lab on request. A new one is a function and a line in FAULTS."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import hosts, lifecycle, mirror, namespace
from lab.doubles.nvidia import hardware
from lab.errors import LabError
from lab.model import Lab
from lab.run import run

# A container loses NVIDIA's devices, as systemd's cgroup driver makes it at a daemon-reload. Arguments: NAMESPACE POD.
# Each entry is taken back as it was granted: v1's devices.deny matches no entry by a wildcard.
_DENY_GPUS = """\
labels="labels.\\"io.kubernetes.pod.namespace\\"==$1,labels.\\"io.kubernetes.pod.name\\"==$2"
deny='grep "^c 195:" "$1/devices.list" | while read -r entry; do echo "$entry" > "$1/devices.deny"; done'
for container in $(/snap/bin/microk8s ctr containers ls -q "$labels" 2> /dev/null); do
    for group in $(/usr/lib/lab/with-cgroups find /sys/fs/cgroup/devices -type d -name "$container"); do
        /usr/lib/lab/with-cgroups sh -c "$deny" sh "$group" && found=yes
    done
done
[ -n "${found:-}" ] || { echo "no container of pod $1/$2 is on this host" >&2; exit 1; }
"""


@dataclass(frozen=True)
class Fault:
    """A fault: what it takes, what happens, and what brings it about, given a lab and so many words."""

    takes: tuple[str, ...]
    help: str
    provoke: Callable[..., None]


def provoke(lab: Lab, kind: str, arguments: Sequence[str]) -> None:
    """Bring a fault about.

    Raises:
        LabError: there is no such fault, or its arguments are not what it takes.
    """
    if kind not in FAULTS:
        raise LabError(f"there is no fault called {kind!r}", f"choose from: {', '.join(FAULTS)}")
    fault = FAULTS[kind]
    if len(arguments) != len(fault.takes):
        usage = " ".join(("script/lab fault", kind, *fault.takes))
        raise LabError(f"fault {kind} takes {len(fault.takes)} arguments, not {len(arguments)}", usage)
    fault.provoke(lab, *arguments)


def _etc(lab: Lab, host: str) -> Path:
    """Return the host's /etc/lab: its hardware, and what makes its doubles fail."""
    return lab.host_directory(lab.host(host).name) / "etc"


def _number(text: str) -> int:
    if not text.isdecimal():
        raise LabError(f"{text!r} is not a number", "give a number, such as 0")
    return int(text)


def _gpu_lost(lab: Lab, host: str, gpu: str) -> None:
    hardware.lose(_etc(lab, host), _number(gpu))


def _gpu_hang(lab: Lab, host: str, gpu: str) -> None:
    hardware.hang(_etc(lab, host), _number(gpu))


def _gpu_xid(lab: Lab, host: str, gpu: str, xid: str) -> None:
    hardware.xid(_etc(lab, host), _number(gpu), _number(xid))


def _gpu_clear(lab: Lab, host: str) -> None:
    hardware.clear(_etc(lab, host))


def _device_cgroup(lab: Lab, host: str, pod: str) -> None:
    namespace_name, _, name = pod.rpartition("/")
    command = [*hosts.ssh(lab, lab.host(host)), "sh", "-s", "--", namespace_name or "default", name]
    run(command, stdin=_DENY_GPUS, timeout=60)


def _snap_busy(lab: Lab, host: str, snap: str) -> None:
    _set_busy(_etc(lab, host), {snap: "auto-refresh"})


def _stop(lab: Lab, host: str) -> None:
    with namespace.held():
        hosts.stop(lab, lab.host(host).name)


def _mirror_stop(lab: Lab) -> None:
    with namespace.held():
        mirror.stop(lab)


def _mirror_spoil(lab: Lab, path: str) -> None:
    with namespace.held():
        mirror.spoil(lab, path)


def _clear(lab: Lab) -> None:
    for host in lab.hosts:
        hardware.clear(_etc(lab, host.name))
        _set_busy(_etc(lab, host.name), {})
    with namespace.held():
        lifecycle.start(lab)
        if lab.mirror:
            mirror.mend(lab)


def _set_busy(etc: Path, busy: dict[str, str]) -> None:
    """Say which snaps of a host have a change in progress that never ends (the snap double's README)."""
    file = etc / "snapd.json"
    settings = {**json.loads(file.read_text()), "busy": busy}
    file.write_text(json.dumps(settings))


FAULTS = {
    "gpu-lost": Fault(("HOST", "GPU"), "the GPU falls off the bus (Xid 79)", _gpu_lost),
    "gpu-hang": Fault(("HOST", "GPU"), "calls about the GPU do not return", _gpu_hang),
    "gpu-xid": Fault(("HOST", "GPU", "XID"), "the driver reports an Xid", _gpu_xid),
    "gpu-clear": Fault(("HOST",), "the host's GPUs are as new", _gpu_clear),
    "device-cgroup": Fault(
        ("HOST", "[NAMESPACE/]POD"),
        "the pod's containers lose NVIDIA's device group (195:*) until they end",
        _device_cgroup,
    ),
    "snap-busy": Fault(("HOST", "SNAP"), "the snap is being refreshed, for ever", _snap_busy),
    "stop": Fault(("HOST",), "the host shuts down and stays so", _stop),
    "mirror-stop": Fault((), "the site's mirror does not answer", _mirror_stop),
    "mirror-spoil": Fault(("FILE",), "the mirror serves this file with its last byte changed", _mirror_spoil),
    "clear": Fault((), "GPUs are as new, no snap is busy, hosts and the mirror run, its files are whole", _clear),
}
