"""The steps from a cluster with a GPU Operator to one without, each of which may be the last of a killed run.

New pods stay away and those with GPUs leave while the operator still stands; its policies go while it can end what it
made; definitions, labels and namespaces go when nothing is left to bring them back. The next run sees what is left.
"""

from __future__ import annotations

from collections.abc import Iterable

from ansible.module_utils.groundwork.gpu_operator.model import (
    Action,
    Claim,
    Close,
    Delete,
    Evict,
    Open,
    Restart,
    Settle,
    State,
    Thing,
    Unbind,
    Uninstall,
    Unmark,
)

DEFINITIONS = "customresourcedefinition.apiextensions.k8s.io"


def plan(state: State) -> tuple[Action, ...]:
    """The steps; none where nothing of an operator is there, and no node is left closed."""
    opened = tuple(Open(node) for node in sorted({*_to_close(state), *state.closed}))
    if not state.traces:
        return tuple(step for step in opened if step.node in state.closed)
    return (*_clear(state), *_end(state), *_clean(state), *opened)


def _to_close(state: State) -> tuple[str, ...]:
    return state.nodes if state.traces else ()


def _clear(state: State) -> tuple[Action, ...]:
    """Nodes without GPU pods, but for those that a DaemonSet would put back."""
    closing = (Close(node) for node in state.nodes if node not in state.closed)
    leaving = tuple(pod for pod in state.pods if pod.evictable)
    claimed = {one.name for one in state.namespaces if one.claimed}
    claims = (Claim(name) for name in _own(state) if name not in claimed)
    return (*claims, *closing, *((Evict(leaving),) if leaving else ()))


def _end(state: State) -> tuple[Action, ...]:
    """The operator and what it made."""
    policies = [step for thing in state.policies for step in _delete(thing, state.runs)]
    releases = [Uninstall(release) for release in state.releases]
    leftovers = [Delete(thing) for thing in state.leftovers]
    return (*policies, *releases, *leftovers, Settle(state.operands, _own(state)))


def _delete(thing: Thing, runs: bool) -> Iterable[Action]:
    """Finalizers are the operator's to take away; where none runs they would hold the object for ever."""
    return (Delete(thing),) if runs or not thing.holds else (Unbind(thing), Delete(thing))


def _clean(state: State) -> tuple[Action, ...]:
    """What nobody brings back any more."""
    definitions = [Delete(Thing(DEFINITIONS, name)) for name in state.definitions]
    marks = [Unmark(one) for one in state.marks]
    spaces = [Delete(Thing("namespace", name)) for name in _own(state)]
    restarted = [Restart(pod) for pod in state.pods if not pod.evictable]
    return (*definitions, *marks, *spaces, *restarted)


def _own(state: State) -> tuple[str, ...]:
    """Namespaces that nobody else has anything in."""
    return tuple(one.name for one in state.namespaces if not one.others)
