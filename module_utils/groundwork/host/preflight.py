"""Whether a host can become a node: verdicts on what was observed, before anything is changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ansible.module_utils.groundwork.check import Check, judge, ok, warning
from ansible.module_utils.groundwork.host.observe import Host

SYSTEMS = ("debian 12", "debian 13", "ubuntu 22.04", "ubuntu 24.04")
ARCHITECTURES = ("x86_64",)
NODE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""A DNS label of RFC 1123; kubelet takes the host's name for the node's, and accepts no other."""


@dataclass(frozen=True)
class Wanted:
    """What is asked of a host.

    time       the controller's clock, in seconds since 1970
    names      the host names of this run by their inventory names
    installed  whether the host already is a node, whose disk may be filled by its own work
    """

    memory_mib: int
    disk_mib: int
    disk: str
    clock_seconds: float
    time: float
    names: Mapping[str, str]
    installed: bool


def check(host: Host, wanted: Wanted) -> list[Check]:
    """Every verdict on a host."""
    return [
        _user(host),
        _system(host),
        _architecture(host),
        _init(host),
        _cgroup(host),
        _memory(host, wanted),
        _disk(host, wanted),
        _route(host),
        _firewall(host, wanted),
        _clock(host, wanted),
        _name_is_valid(host),
        _name_is_unique(host, wanted),
    ]


def _user(host: Host) -> Check:
    return judge(
        "host_base.user_is_root",
        host.user_id == 0,
        f"user id {host.user_id}",
        "root, or a user who may use sudo",
        "Set ansible_user to a user with sudo, and give its password by --ask-become-pass where it needs one.",
    )


def _system(host: Host) -> Check:
    return judge(
        "host_base.system_is_supported",
        host.system in SYSTEMS,
        host.system,
        ", ".join(SYSTEMS),
        "Install one of these releases, or take the host out of the inventory.",
    )


def _architecture(host: Host) -> Check:
    return judge(
        "host_base.architecture_is_supported",
        host.architecture in ARCHITECTURES,
        host.architecture,
        ", ".join(ARCHITECTURES),
        "Take the host out of the inventory: packages for its architecture are not handled here.",
    )


def _init(host: Host) -> Check:
    return judge(
        "host_base.systemd_runs",
        host.init == "systemd",
        f"process 1 is {host.init}",
        "systemd as process 1",
        "Use a machine, or a system container, that boots with systemd: snapd needs it.",
    )


def _cgroup(host: Host) -> Check:
    """Kubelet refuses version 1 from Kubernetes 1.35 on (KEP-5573)."""
    return judge(
        "host_base.cgroup_is_v2",
        host.cgroup == "cgroup2",
        f"{host.cgroup or 'nothing'} at /sys/fs/cgroup",
        "cgroup2 at /sys/fs/cgroup",
        "Remove systemd.unified_cgroup_hierarchy=0 from the kernel's command line and reboot: kubelet 1.35 and newer "
        "refuse version 1.",
    )


def _memory(host: Host, wanted: Wanted) -> Check:
    return judge(
        "host_base.memory_is_enough",
        host.memory_mib >= wanted.memory_mib,
        f"{host.memory_mib} MiB",
        f"{wanted.memory_mib} MiB",
        "Add memory, or lower host_base_minimum_memory_mib if you know the load.",
    )


def _disk(host: Host, wanted: Wanted) -> Check:
    """A node that runs fills its disk with images; only kubelet's own eviction is close then."""
    arguments = (
        f"{host.disk_free_mib} MiB free at {wanted.disk}",
        f"{wanted.disk_mib} MiB",
        "Free or add space there (images of ML frameworks are large), or lower host_base_minimum_disk_mib.",
    )
    name = "host_base.disk_is_enough"
    if wanted.installed and host.disk_free_mib < wanted.disk_mib:
        return warning(name, *arguments)
    return judge(name, host.disk_free_mib >= wanted.disk_mib, *arguments)


def _route(host: Host) -> Check:
    return judge(
        "host_base.default_route_exists",
        host.default_route,
        "an IPv4 default route" if host.default_route else "no IPv4 default route",
        "an IPv4 default route",
        "Add one, even to a gateway that leads nowhere: kubelet and MicroK8s take the node's address from it.",
    )


def _firewall(host: Host, wanted: Wanted) -> Check:
    """MicroK8s tells ufw of its pods' interfaces (run-kubelite-with-args), and nobody of what nodes ask one another."""
    name, aim = "host_base.firewall_lets_nodes_through", "no firewall, or one that lets nodes and pods through"
    if host.firewall is None or wanted.installed:
        return ok(name, host.firewall or "none is on", aim)
    return warning(
        name,
        f"{host.firewall} is on",
        aim,
        "Let the nodes reach one another at TCP 10250, 16443, 19001 and 25000 and at UDP 4789 (VXLAN), and let pods' "
        "traffic be forwarded: with ufw `ufw allow from ADDRESS` for each node, and `ufw default allow routed`.",
    )


def _clock(host: Host, wanted: Wanted) -> Check:
    apart = host.time - wanted.time
    return judge(
        "host_base.clock_agrees",
        abs(apart) <= wanted.clock_seconds,
        f"{apart:+.0f} s from the controller",
        f"within {wanted.clock_seconds:.0f} s",
        "Set the clock, here or on the controller (timedatectl): certificates made now would not be valid yet, or no "
        "longer.",
    )


def _name_is_valid(host: Host) -> Check:
    return judge(
        "host_base.name_is_valid",
        bool(NODE_NAME.fullmatch(host.name)),
        host.name,
        "lower-case letters, digits and hyphens, at most 63, without a dot",
        "Rename the host (hostnamectl set-hostname NAME) before it becomes a node; a node cannot be renamed.",
    )


def _name_is_unique(host: Host, wanted: Wanted) -> Check:
    others = sorted(inventory_name for inventory_name, name in wanted.names.items() if name == host.name)
    return judge(
        "host_base.name_is_unique",
        len(others) <= 1,
        f"{host.name} is the name of {', '.join(others)}" if len(others) > 1 else host.name,
        "a name of its own",
        "Rename all but one (hostnamectl set-hostname NAME): two nodes of one name replace each other in the cluster.",
    )
