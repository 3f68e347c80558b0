"""A node whose GPUs are about to change: cordoned, no pod holds one, nothing of ours has NVML open; and back.

What was done is remembered on the node itself, so that whoever is killed in between is followed by one that finishes:
an annotation says that it was us who cordoned it. DaemonSets that read GPUs leave a node by its label, as those of
NVIDIA's operator do by labels of its own; they come back anew when it goes, and look at the GPUs then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes.cluster import NOT_FOUND, KubernetesError, Object
from ansible.module_utils.groundwork.kubernetes.gpus import FINISHED, requested
from ansible.module_utils.groundwork.waiting import Waiter

MARK = "groundwork/gpu-drain"
"""The annotation of a node that is being changed."""
CLIENTS = "groundwork/gpu-clients"
PAUSED = "paused"
"""The label, and its value, at which DaemonSets with a node affinity for it leave a node."""
TOO_MANY_REQUESTS = 429
"""What an eviction gets that a PodDisruptionBudget forbids now."""
State = Literal["drained", "served", "open"]


class Api(Protocol):
    """What this needs of a cluster."""

    def get(self, path: str, **query: str) -> Object:
        """The object, or list, at a path of the API."""

    def create(self, path: str, body: Object) -> Object:
        """The object as the server made it in the collection at `path`."""

    def patch(self, path: str, body: Object) -> Object:
        """The object at a path after a merge of `body`."""


@dataclass(frozen=True)
class Holder:
    """A pod that holds GPUs. `owner`: the kind that makes it again; "" where nobody does."""

    namespace: str
    name: str
    resources: Mapping[str, int]
    owner: str = ""

    def __str__(self) -> str:
        """For people."""
        held = ", ".join(f"{count} {resource}" for resource, count in sorted(self.resources.items()))
        again = "" if self.owner else ", and nobody makes it again"
        return f"{self.namespace}/{self.name} ({held}{again})"

    @property
    def stays(self) -> bool:
        """Whether it would be back at once: its controller passes by what keeps others from a cordoned node."""
        return self.owner == "DaemonSet"


@dataclass(frozen=True)
class Node:
    """A node, as far as its GPUs are concerned.

    uncordon    whether the mark says that it is to be opened at the end; None where there is no mark
    clients     pods of DaemonSets that leave while it is paused
    daemonsets  these, of all nodes
    """

    name: str
    cordoned: bool
    paused: bool
    uncordon: bool | None
    holders: tuple[Holder, ...]
    clients: tuple[str, ...]
    daemonsets: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Where the API has it."""
        return f"/api/v1/nodes/{self.name}"

    def __str__(self) -> str:
        """For a diff."""
        told = ["cordoned" if self.cordoned else "open", "GPU clients paused" if self.paused else "GPU clients run"]
        told += [f"GPUs are held by {', '.join(map(str, self.holders))}"] if self.holders else []
        return f"{self.name}: {', '.join(told)}\n"


@dataclass(frozen=True)
class Wanted:
    """What a node shall be, who says so, and whether pods that hold GPUs may be evicted."""

    state: State
    reason: str = "operations/mig"
    allow_disruption: bool = False


def declare(api: Api, name: str, wanted: Wanted, waiter: Waiter, change: bool) -> dict[str, object]:
    """Make the node so, or without `change` tell what would be done: what module kubernetes_gpu_drain returns.

    Raises GroundworkError where pods are in the way, or do not leave.
    """
    before = observe(api, name)
    actions = plan(before, wanted.state)
    if wanted.state == "drained" and actions:
        refuse(before, wanted.allow_disruption)
    if change and actions:
        _apply(api, before, wanted, waiter)
    after = observe(api, name) if change and actions else forecast(before, actions)
    return {
        "changed": bool(actions),
        "actions": actions,
        "holders": [str(holder) for holder in before.holders],
        "interrupted": before.uncordon is not None,
        "daemonsets": list(before.daemonsets),
        "diff": {"before": str(before), "after": str(after)},
    }


def observe(api: Api, name: str) -> Node:
    """The node.

    Raises GroundworkError where it is no node of the cluster.
    """
    found = _node(api, name)
    metadata = found["metadata"]
    mark = (metadata.get("annotations") or {}).get(MARK)
    here = api.get("/api/v1/pods", fieldSelector=f"spec.nodeName={name},{FINISHED}")["items"]
    clients = _paused_by_label(api)
    return Node(
        name=name,
        cordoned=bool(found["spec"].get("unschedulable", False)),
        paused=(metadata.get("labels") or {}).get(CLIENTS) == PAUSED,
        uncordon=bool(json.loads(mark)["uncordon"]) if mark else None,
        holders=tuple(holder for holder in map(_holder, here) if holder.resources),
        clients=tuple(sorted(_name(pod) for pod in here if (_namespace(pod), *_owner(pod)) in clients)),
        daemonsets=tuple(sorted(f"{namespace}/{named}" for namespace, _, named in clients)),
    )


def plan(node: Node, wanted: State) -> list[str]:
    """What is to be done, in words, in its order; nothing where the node is so already."""
    if wanted == "drained":
        steps = [] if node.cordoned and node.uncordon is not None else ["cordon"]
        steps += [f"evict {holder}" for holder in node.holders]
        return steps + ([] if node.paused and not node.clients else ["pause GPU clients"])
    if wanted == "served":
        return ["resume GPU clients"] if node.paused else []
    resume = ["resume GPU clients"] if node.paused else []
    return resume + (["uncordon" if node.uncordon else "forget"] if node.uncordon is not None else [])


def forecast(node: Node, actions: Iterable[str]) -> Node:
    """What it would be after them."""
    for action in actions:
        if action in ("cordon", "uncordon"):
            node = replace(node, cordoned=action == "cordon")
        elif action.startswith("evict "):
            node = replace(node, holders=())
        elif action != "forget":
            node = replace(node, paused=action.startswith("pause"))
    return node


def _apply(api: Api, node: Node, wanted: Wanted, waiter: Waiter) -> None:
    if wanted.state == "drained":
        drain(api, node, wanted, waiter)
    elif wanted.state == "served":
        serve(api, node)
    else:
        reopen(api, node)


def refuse(node: Node, allow_disruption: bool) -> None:
    """Stop where pods are in the way.

    Raises GroundworkError with all of them.
    """
    stay = [str(holder) for holder in node.holders if holder.stays]
    if stay:
        raise GroundworkError(
            f"{node.name}: pods of DaemonSets hold GPUs, and would be back at once: {', '.join(stay)}",
            "Take the DaemonSet away, or keep it from this node by its node affinity, and run again.",
        )
    if node.holders and not allow_disruption:
        raise GroundworkError(
            f"{node.name}: pods hold its GPUs: {', '.join(map(str, node.holders))}",
            "Wait for them, end them, or set gpu_mig_allow_disruption, which has them evicted.",
        )


def drain(api: Api, node: Node, wanted: Wanted, waiter: Waiter) -> None:
    """Cordon the node, have the pods that hold GPUs leave, then DaemonSets that read GPUs.

    Raises GroundworkError where pods are in the way, with the node as it was; and where one does not leave in time,
    with the node cordoned and marked.
    """
    refuse(node, wanted.allow_disruption)
    if not node.cordoned or node.uncordon is None:
        mark = json.dumps({"by": wanted.reason, "uncordon": node.uncordon or not node.cordoned})
        api.patch(node.path, {"metadata": {"annotations": {MARK: mark}}, "spec": {"unschedulable": True}})
    try:
        refuse(observe(api, node.name), wanted.allow_disruption)  # one may have come before the node was cordoned
    except GroundworkError:
        if node.uncordon is None:
            reopen(api, observe(api, node.name))
        raise
    _evict(api, node.name, waiter)
    api.patch(node.path, {"metadata": {"labels": {CLIENTS: PAUSED}}})
    waiter.need(lambda: observe(api, node.name).clients, lambda clients: not clients, lambda left: _stuck(node, left))


def serve(api: Api, node: Node) -> None:
    """Let DaemonSets that read GPUs come back."""
    api.patch(node.path, {"metadata": {"labels": {CLIENTS: None}}})


def reopen(api: Api, node: Node) -> None:
    """End it all, at once; a node that somebody else had cordoned stays so."""
    spec = {"spec": {"unschedulable": None}} if node.uncordon else {}
    api.patch(node.path, {"metadata": {"labels": {CLIENTS: None}, "annotations": {MARK: None}}, **spec})


def _evict(api: Api, name: str, waiter: Waiter) -> None:
    """By the Eviction API, which heeds PodDisruptionBudgets, again and again until no pod holds a GPU."""
    refused: dict[str, str] = {}

    def ask() -> tuple[Holder, ...]:
        holders = observe(api, name).holders
        refused.clear()
        for holder in holders:
            if said := _evict_one(api, holder):
                refused[str(holder)] = said
        return holders

    def missing(holders: Iterable[Holder]) -> GroundworkError:
        told = ", ".join(f"{holder}: {refused.get(str(holder), 'it is ending')}" for holder in holders)
        return GroundworkError(
            f"{name}: pods do not leave its GPUs: {told}",
            "See the pod's events and its PodDisruptionBudget; the node stays cordoned. Run again to go on.",
        )

    waiter.need(ask, lambda holders: not holders, missing)


def _evict_one(api: Api, holder: Holder) -> str:
    """Why it stays, where somebody forbids it."""
    path = f"/api/v1/namespaces/{holder.namespace}/pods/{holder.name}/eviction"
    metadata = {"name": holder.name, "namespace": holder.namespace}
    try:
        api.create(path, {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata})
    except KubernetesError as error:
        if error.status == TOO_MANY_REQUESTS:
            return error.message
        if error.status != NOT_FOUND:
            raise
    return ""


def _stuck(node: Node, left: Iterable[str]) -> GroundworkError:
    return GroundworkError(
        f"{node.name}: pods that read GPUs do not leave: {', '.join(left)}",
        "`microk8s kubectl describe` them: a pod whose container does not end holds its GPU. Run again to go on.",
    )


def _node(api: Api, name: str) -> Object:
    try:
        return api.get(f"/api/v1/nodes/{name}")
    except KubernetesError as error:
        if error.status != NOT_FOUND:
            raise
        raise GroundworkError(
            f"{name} is no node of the cluster", "Run playbooks/cluster.yml, which joins it."
        ) from None


def _paused_by_label(api: Api) -> set[tuple[str, str, str]]:
    """DaemonSets whose node affinity names the label. Their pods do not show it: the controller puts its own there."""
    found = api.get("/apis/apps/v1/daemonsets")["items"]
    affinities = ((each, each["spec"]["template"]["spec"].get("affinity")) for each in found)
    return {(_namespace(each), "DaemonSet", _name(each)) for each, affinity in affinities if CLIENTS in str(affinity)}


def _holder(pod: Object) -> Holder:
    containers = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())]
    named = {name for one in containers for name in (one.get("resources") or {}).get("limits") or {}}
    held = {name: requested(pod, name) for name in named if name.startswith("nvidia.com/")}
    return Holder(_namespace(pod), _name(pod), {name: count for name, count in held.items() if count}, _owner(pod)[0])


def _owner(pod: Object) -> tuple[str, str]:
    owners = pod["metadata"].get("ownerReferences") or ()
    return next(((owner["kind"], owner["name"]) for owner in owners if owner.get("controller", True)), ("", ""))


def _name(found: Object) -> str:
    return str(found["metadata"]["name"])


def _namespace(found: Object) -> str:
    return str(found["metadata"]["namespace"])
