"""GPUs on offer: Kubernetes has as many as NVML sees, and where it has not, the device plugin of that node looks again.

The plugin reads a node's GPUs at its start only, and for one that it found unhealthy it knows no way back ("no way to
recover from the Unhealthy state", k8s-device-plugin, internal/plugin/server.go). Pods keep their GPUs meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes import proof
from ansible.module_utils.groundwork.kubernetes.cluster import Cluster, Object
from ansible.module_utils.groundwork.kubernetes.gpus import Node, Wanted, observe
from ansible.module_utils.groundwork.waiting import Waiter


@dataclass(frozen=True)
class Plugin:
    """The device plugin's DaemonSet."""

    namespace: str
    name: str

    @property
    def pods(self) -> str:
        """Where the API has its pods, and others'."""
        return f"/api/v1/namespaces/{self.namespace}/pods"


@dataclass(frozen=True)
class Offer:
    """What one node offers of one resource. `plugin` is the plugin's pod there, None before it is; `ready` tells of it.

    what  the node and the resource, for people
    """

    node: str
    what: str
    offered: int
    seen: int
    plugin: str | None = None
    ready: bool = False

    @property
    def agrees(self) -> bool:
        """Whether Kubernetes offers what NVML sees."""
        return self.offered == self.seen

    def healed(self) -> Offer:
        """It, as it will be once the plugin has started again."""
        return replace(self, offered=self.seen)

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.what} offers {self.offered} of {self.seen} GPUs"


def offers(cluster: Cluster, wanted: Wanted, plugin: Plugin) -> list[Offer]:
    """What each node offers now."""
    pods = {pod["spec"].get("nodeName"): pod for pod in cluster.get(plugin.pods)["items"] if _is_plugins(pod, plugin)}
    return [_offer(node, len(wanted.listed(node)), pods.get(node.name)) for node in observe(cluster, wanted)]


def settle(
    cluster: Cluster, wanted: Wanted, plugin: Plugin, waiter: Waiter, patience: Waiter
) -> tuple[list[str], list[Offer]]:
    """Wait until every node offers what NVML sees; the nodes whose plugin was started again for it, and the offers.

    waiter    for the plugin's start, the pull of its image included
    patience  for a plugin that runs to tell the kubelet

    Raises GroundworkError where a node still does not.
    """

    def ask() -> list[Offer]:
        return offers(cluster, wanted, plugin)

    found, _ = waiter.until(ask, lambda found: all(each.agrees or each.ready for each in found))
    if _all_agree(found):
        return [], found
    found, _ = patience.until(ask, _all_agree)
    wrong = stale(found)
    for pod in wrong.values():
        cluster.delete(f"{plugin.pods}/{pod}")
    return list(wrong), waiter.need(ask, _all_agree, _disagreement)


def stale(found: Sequence[Offer]) -> dict[str, str | None]:
    """The nodes whose plugin runs and offers something else than is there, each with the plugin's pod."""
    return {each.node: each.plugin for each in found if each.ready and not each.agrees}


def _all_agree(found: Sequence[Offer]) -> bool:
    return all(each.agrees for each in found)


def _disagreement(found: Sequence[Offer]) -> GroundworkError:
    waiting = "; ".join(f"{each} that NVML sees" for each in found if not each.agrees)
    return GroundworkError(
        waiting,
        "Its device plugin says why: `microk8s kubectl logs --all-containers` of the plugin's pod on that node, or "
        "`describe` where it does not run.",
    )


def _offer(node: Node, seen: int, pod: Object | None) -> Offer:
    if pod is None:
        return Offer(node.name, str(node), node.allocatable, seen)
    return Offer(node.name, str(node), node.allocatable, seen, pod["metadata"]["name"], proof.is_ready(pod))


def _is_plugins(pod: Object, plugin: Plugin) -> bool:
    owners = pod["metadata"].get("ownerReferences", ())
    leaving = "deletionTimestamp" in pod["metadata"]
    return not leaving and any((owner["kind"], owner["name"]) == ("DaemonSet", plugin.name) for owner in owners)
