"""Joining a cluster and leaving it: observe, plan, apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ansible.module_utils.groundwork.command import Run
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.microk8s import membership, nodes, snap
from ansible.module_utils.groundwork.microk8s.membership import Membership, Role
from ansible.module_utils.groundwork.microk8s.nodes import Nodes
from ansible.module_utils.groundwork.microk8s.paths import MICROK8S, Paths
from ansible.module_utils.groundwork.microk8s.refusals import refusal
from ansible.module_utils.groundwork.waiting import Waiter

Action = Literal["forget_failed_join", "join", "leave"]
COMMAND_SECONDS = 30.0


@dataclass(frozen=True)
class State:
    """What this node is, and which nodes hang on it alone; or why that could not be seen."""

    member: Membership
    last_control_plane_of: tuple[str, ...] = ()
    nodes_error: str | None = None


@dataclass(frozen=True)
class Wanted:
    """What it shall be. `url` is a secret, ip:port/token/fingerprint."""

    present: bool
    role: Role
    url: str = ""


def observe(run: Run, paths: Paths, timeout_seconds: float = COMMAND_SECONDS) -> State:
    """Read this node's locks, and on a clustered control plane its nodes.

    Raises GroundworkError where MicroK8s is not installed.
    """
    if not paths.locks.is_dir():
        raise GroundworkError("MicroK8s is not installed here", "Install it first: role microk8s_node does.")
    member = membership.observe(paths)
    if member.role == "worker" or not member.clustered:
        return State(member)
    known = nodes.observe(run, paths, member.role, "", timeout_seconds)
    return State(member, _only_control_plane_of(known, membership.node_name(paths)), known.error)


def plan(state: State, wanted: Wanted) -> list[Action]:
    """What has to be done, in order.

    Raises GroundworkError where it would break something that only a person may decide.
    """
    return _to_be_present(state.member, wanted) if wanted.present else _to_be_absent(state)


def apply(action: Action, run: Run, paths: Paths, wanted: Wanted, timeout_seconds: float) -> None:
    """Do one thing of a plan, and see that it came about.

    Raises GroundworkError with the remedy where it did not.
    """
    if action == "forget_failed_join":
        (paths.locks / "join-in-progress").unlink(missing_ok=True)
    elif action == "join":
        _join(run, paths, wanted, timeout_seconds)
    else:
        _leave(run, paths, timeout_seconds)


def diff(state: State, wanted: Wanted, actions: Sequence[Action]) -> dict[str, str]:
    """This node's part in a cluster, in Ansible's form of a diff."""
    before = f"{state.member.role}\n" if state.member.clustered else "in no cluster\n"
    after = f"{wanted.role}\n" if wanted.present else "in no cluster\n"
    return {"before": before, "after": after if actions else before}


def _to_be_present(member: Membership, wanted: Wanted) -> list[Action]:
    if member.stopped:
        raise GroundworkError("MicroK8s is stopped here", "Run `microk8s start`.")
    if member.join_in_progress:  # only success removes this lock, whatever the exit code was
        return ["forget_failed_join", "join"]
    if not member.clustered:
        return ["join"]
    if member.role != wanted.role:
        raise GroundworkError(
            f"This node is in a cluster as {member.role}, not as {wanted.role}",
            "Run `microk8s leave` here and `microk8s remove-node` on a member, then run again.",
        )
    return []


def _to_be_absent(state: State) -> list[Action]:
    others = state.last_control_plane_of
    if state.nodes_error:
        raise GroundworkError(
            f"Cannot see whether other nodes hang on this control plane: {state.nodes_error}",
            "Bring its API server up, so that it can leave in order; or `snap remove --purge microk8s` here and "
            "`microk8s remove-node NAME --force` on another member.",
        )
    if others:
        raise GroundworkError(
            f"This is the only control plane of {', '.join(others)}: leaving would erase the cluster's datastore",
            "Remove those nodes first, or add a control plane.",
        )
    if state.member.clustered:
        return ["leave"]
    return ["forget_failed_join"] if state.member.join_in_progress else []


def _only_control_plane_of(known: Nodes, name: str) -> tuple[str, ...]:
    """The other nodes, where none of them has a control plane; MicroK8s lets such a node leave."""
    others = [node for node in known.nodes if node.name != name]
    return () if any(node.role == "control_plane" for node in others) else tuple(node.name for node in others)


def _join(run: Run, paths: Paths, wanted: Wanted, timeout_seconds: float) -> None:
    if not wanted.url:
        raise GroundworkError("There is no url to join by", "Make one with microk8s_token on the admin host.")
    _wait_for_snapd(run, timeout_seconds)
    worker = ["--worker"] if wanted.role == "worker" else []
    output = run([MICROK8S, "join", wanted.url, *worker], timeout_seconds)
    now = membership.observe(paths)
    if output.code or not now.clustered or now.role != wanted.role or now.join_in_progress:
        raise refusal("join", output)


def _leave(run: Run, paths: Paths, timeout_seconds: float) -> None:
    _wait_for_snapd(run, timeout_seconds)
    output = run([MICROK8S, "leave"], timeout_seconds)
    if output.code or membership.observe(paths).clustered:
        raise refusal("leave", output)


def _wait_for_snapd(run: Run, timeout_seconds: float) -> None:
    """A join that meets another change of the snap stays half done (microk8s issue 4350)."""
    Waiter(timeout_seconds, every=1.0).need(
        lambda: snap.changes_under_way(run, COMMAND_SECONDS),
        lambda changes: not changes,
        lambda changes: GroundworkError(
            f"snapd is still busy: {', '.join(changes)}", "See `snap changes`; abort what hangs, and run again."
        ),
    )
