"""Whether MicroK8s can be installed on a host, or taken over where it is there already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.groundwork.check import Check, judge, skipped
from ansible.module_utils.groundwork.microk8s.observe import MicroK8s

PORTS = (1338, 10248, 10249, 10250, 10255, 10256, 10257, 10259, 16443, 19001, 25000)
"""What MicroK8s's services listen on, of containerd's metrics, Kubernetes, the datastore and the cluster agent."""
OTHERS = (
    "etc/kubernetes/kubelet.conf",
    "etc/rancher/k3s",
    "etc/rancher/rke2",
    "var/lib/k0s",
    "snap/k8s",
)
GPU_ADDONS = ("nvidia", "gpu")  # one addon; up to 1.28 it has the second name alone
LISTEN = "0A"  # include/net/tcp_states.h, TCP_LISTEN, as /proc/net/tcp prints it


@dataclass(frozen=True)
class Surroundings:
    """What is on the host beside MicroK8s.

    others                     paths that another Kubernetes distribution has left, or uses
    kubelet_directory_is_real  whether /var/lib/kubelet is a directory, and no link
    ports_taken                of PORTS, those that somebody listens on
    """

    others: tuple[str, ...] = ()
    kubelet_directory_is_real: bool = False
    ports_taken: tuple[int, ...] = ()


def observe(root: Path) -> Surroundings:
    """Look round on the host whose root directory is given."""
    kubelet = root / "var/lib/kubelet"
    listening = {port for name in ("tcp", "tcp6") for port in _listening(root / "proc/net" / name)}
    return Surroundings(
        others=tuple(f"/{path}" for path in OTHERS if (root / path).exists()),
        kubelet_directory_is_real=kubelet.is_dir() and not kubelet.is_symlink(),
        ports_taken=tuple(sorted(listening.intersection(PORTS))),
    )


def check(found: MicroK8s, around: Surroundings, channel: str) -> list[Check]:
    """Every verdict. Ports are judged where MicroK8s is not there yet; later it takes them itself."""
    return [
        _channel(found, channel),
        _others(around),
        _kubelet_directory(around),
        _ports(() if found.installed else around.ports_taken),
        _gpu_addon(found),
    ]


def _listening(table: Path) -> Iterator[int]:
    """The local ports of listening sockets in a table of /proc/net."""
    rows = table.read_text(encoding="ascii").splitlines()[1:] if table.exists() else []
    for row in rows:
        _, local, _, state = row.split()[:4]
        if state == LISTEN:
            yield int(local.rpartition(":")[2], 16)


def _channel(found: MicroK8s, channel: str) -> Check:
    installed = found.snap.channel if found.snap else None
    return judge(
        "microk8s_node.channel",
        installed in (None, channel),
        installed or ("installed from a file" if found.installed else "not installed"),
        channel,
        "Declare the installed channel in microk8s_node_channel; moving to another one is an upgrade of its own.",
    )


def _others(around: Surroundings) -> Check:
    return judge(
        "microk8s_node.no_other_kubernetes",
        not around.others,
        ", ".join(around.others) or "none",
        "none",
        "Remove the other Kubernetes distribution with its own uninstaller, and delete these paths.",
    )


def _kubelet_directory(around: Surroundings) -> Check:
    """MicroK8s links the path if it is free; else device plugins register with nobody, and there are 0 GPUs."""
    return judge(
        "microk8s_node.kubelet_directory",
        not around.kubelet_directory_is_real,
        f"/var/lib/kubelet is {'a directory' if around.kubelet_directory_is_real else 'free, or a link'}",
        "/var/lib/kubelet is free, or a link",
        "Unmount what is mounted below /var/lib/kubelet, and delete it; an earlier Kubernetes left it.",
    )


def _ports(taken: Iterable[int]) -> Check:
    numbers = ", ".join(map(str, taken))
    return judge(
        "microk8s_node.ports_free",
        not numbers,
        f"taken: {numbers}" if numbers else "free",
        f"{', '.join(map(str, PORTS))} free",
        "See with `ss -ltnp` who listens on these ports, and stop or move it.",
    )


def _gpu_addon(found: MicroK8s) -> Check:
    """Two owners of one device plugin undo each other's work; the addon ignores what Helm says (core-addons#286)."""
    name = "microk8s_node.no_gpu_addon"
    if found.installed and found.status is None:
        return skipped(name, "this Python has no PyYAML to read the addons with; what they run is looked for by itself")
    ours = [name for name in found.addons_enabled if name in GPU_ADDONS]
    return judge(
        name,
        not ours,
        f"enabled: {', '.join(ours)}" if ours else "no GPU addon is enabled",
        "no GPU addon is enabled",
        "Groundwork installs NVIDIA's device plugin itself. Run playbooks/operations/adopt.yml, which takes the "
        "cluster over; `microk8s disable` would leave containerd's template as the addon wrote it.",
    )
