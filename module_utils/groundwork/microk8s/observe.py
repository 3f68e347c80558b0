"""MicroK8s on this host, in one picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.groundwork.command import Run
from ansible.module_utils.groundwork.microk8s import certificates, membership, nodes, snap, status
from ansible.module_utils.groundwork.microk8s.certificates import Certificate
from ansible.module_utils.groundwork.microk8s.membership import Role
from ansible.module_utils.groundwork.microk8s.nodes import Node, Nodes
from ansible.module_utils.groundwork.microk8s.paths import Paths
from ansible.module_utils.groundwork.microk8s.snap import Snap
from ansible.module_utils.groundwork.microk8s.status import Status

PARTS = ("certificates", "nodes", "status")
"""What is gathered on request beside the snap and the locks, which cost nothing."""


@dataclass(frozen=True)
class Datastore:
    """Addresses, ip:port, by their part in the datastore."""

    voters: tuple[str, ...] = ()
    standbys: tuple[str, ...] = ()
    spares: tuple[str, ...] = ()


@dataclass(frozen=True)
class MicroK8s:
    """What module microk8s_info returns. Parts that were not asked for, or are not there, are None or empty."""

    installed: bool
    snap: Snap | None = None
    running: bool = False
    role: Role | None = None
    clustered: bool = False
    join_in_progress: bool = False
    stopped: bool = False
    node_name: str | None = None
    node: Node | None = None
    nodes: tuple[Node, ...] = ()
    nodes_error: str | None = None
    status: Status | None = None
    datastore: Datastore = Datastore()
    addons_enabled: tuple[str, ...] = ()
    certificates: tuple[Certificate, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The return shape of the module."""
        return dataclasses.asdict(self)


def observe(run: Run, paths: Paths, gather: Collection[str], timeout_seconds: float) -> MicroK8s:
    """Observe MicroK8s. Each command has `timeout_seconds` of its own.

    gather  of PARTS

    Raises GroundworkError when snapd does not answer or a command does not end in time.
    """
    installed = snap.observe(run, timeout_seconds)
    if installed is None:
        return MicroK8s(installed=False)
    member = membership.observe(paths)
    name = membership.node_name(paths)
    known = nodes.observe(run, paths, member.role, name, timeout_seconds) if "nodes" in gather else Nodes()
    said = status.observe(run, timeout_seconds) if "status" in gather else None
    return MicroK8s(
        installed=True,
        snap=installed,
        running=_runs(run, timeout_seconds) and not member.stopped,
        role=member.role,
        clustered=member.clustered,
        join_in_progress=member.join_in_progress,
        stopped=member.stopped,
        node_name=name,
        node=next((node for node in known.nodes if node.name == name), None),
        nodes=known.nodes,
        nodes_error=known.error,
        status=said,
        datastore=datastore(said),
        addons_enabled=tuple(addon.name for addon in said.addons if addon.enabled) if said else (),
        certificates=certificates.observe(paths.certificates) if "certificates" in gather else (),
    )


def datastore(said: Status | None) -> Datastore:
    """The members of the datastore by their part."""
    members = said.datastore if said else ()
    voters, standbys, spares = (
        tuple(node.address for node in members if node.role == part) for part in ("voter", "standby", "spare")
    )
    return Datastore(voters, standbys, spares)


def _runs(run: Run, timeout_seconds: float) -> bool:
    """Kubelite holds the kubelet on every node, and the control plane on those that have one."""
    kubelite = snap.services(run, timeout_seconds).get("daemon-kubelite")
    return kubelite is not None and kubelite.active
