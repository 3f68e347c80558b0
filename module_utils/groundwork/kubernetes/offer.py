"""GPUs on offer: Kubernetes has as many as NVML sees, and where it has not, the device plugin of that node looks again.

The plugin reads a node's GPUs at its start only, and for one that it found unhealthy it knows no way back ("no way to
recover from the Unhealthy state", k8s-device-plugin, internal/plugin/server.go). Pods keep their GPUs meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes import proof
from ansible.module_utils.groundwork.kubernetes.cluster import Cluster, Object
from ansible.module_utils.groundwork.kubernetes.gpus import Node, Wanted, observe
from ansible.module_utils.groundwork.waiting import Waiter

COUNT = re.compile(r"nvidia\.com/mig-.+\.count")
"""The labels by which feature discovery counts MIG devices."""


@dataclass(frozen=True)
class Plugin:
    """The device plugin's DaemonSet."""

    namespace: str
    name: str

    @property
    def pods(self) -> str:
        """Where the API has its pods, and others'."""
        return f"/api/v1/namespaces/{self.namespace}/pods"

    @property
    def daemonsets(self) -> str:
        """Where the API has it, and others."""
        return f"/apis/apps/v1/namespaces/{self.namespace}/daemonsets"


@dataclass(frozen=True)
class Offer:
    """What one node offers of one resource. `plugin` is the plugin's pod there, None before it is; `ready` tells of it.

    what      the node and the resource, for people
    seen      what NVML sees, each device as often as it is shared; `devices` are the devices themselves
    outdated  the pod is one of before the DaemonSet's last change, and will be replaced
    """

    node: str
    what: str
    offered: int
    seen: int
    devices: int
    plugin: str | None = None
    ready: bool = False
    outdated: bool = False

    @property
    def agrees(self) -> bool:
        """Whether Kubernetes offers what NVML sees, by a plugin that is there to stay."""
        there = self.plugin is not None or not self.seen
        return self.offered == self.seen and there and not self.outdated

    def healed(self) -> Offer:
        """It, as it will be once the plugin has started again."""
        return replace(self, offered=self.seen)

    def __str__(self) -> str:
        """Return it in words."""
        shares = f"shares of {self.devices} " if self.devices < self.seen else ""
        return f"{self.what} offers {self.offered} of {self.seen} {shares}GPUs"

    @property
    def by(self) -> str:
        """What is wrong with the plugin behind it, for people."""
        if self.outdated:
            return ", by a plugin that is about to be replaced"
        return "" if self.plugin else ", without a plugin"


def offers(cluster: Cluster, wanted: Wanted, plugin: Plugin) -> list[Offer]:
    """What each node offers now."""
    pods = {pod["spec"].get("nodeName"): pod for pod in cluster.get(plugin.pods)["items"] if _is_plugins(pod, plugin)}
    template = next((_template(each) for each in _daemonsets(cluster, plugin)), {})
    return [_offer(node, wanted, pods.get(node.name), template) for node in observe(cluster, wanted)]


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


def await_labels(cluster: Cluster, wanted: Wanted, waiter: Waiter) -> None:
    """Wait until the labels of feature discovery count the MIG devices that NVML sees, and none that are gone.

    Raises GroundworkError where they do not.
    """
    expected = {name: _expected(resources) for name, resources in wanted.nodes.items()}

    def ask() -> list[str]:
        found = {node["metadata"]["name"]: node["metadata"].get("labels") or {} for node in _nodes(cluster)}
        counted = {name: _counted(found.get(name, {}), counts) for name, counts in expected.items()}
        return [f"{name} says {counted[name] or 'none'}" for name in expected if counted[name] != expected[name]]

    waiter.need(
        ask,
        lambda wrong: not wrong,
        lambda wrong: GroundworkError(
            f"Labels do not count the MIG devices that NVML sees: {'; '.join(wrong)}",
            "Feature discovery says why: `microk8s kubectl logs` of its pod on that node, and of nfd-master.",
        ),
    )


def _nodes(cluster: Cluster) -> list[Object]:
    found: list[Object] = cluster.get("/api/v1/nodes")["items"]
    return found


def _counted(labels: Mapping[str, str], expected: Mapping[str, str]) -> dict[str, str]:
    return {name: count for name, count in labels.items() if COUNT.fullmatch(name) or name in expected}


def _expected(resources: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Shares have no labels of their own, a resource without a device has none, and whole GPUs are not looked at."""
    found: dict[str, set[str]] = {}
    for resource, uuids in resources.items():
        name = f"{resource.removesuffix('.shared')}.count"
        found.setdefault(name, set()).update(uuid for uuid in uuids if uuid.startswith("MIG-"))
    return {name: str(len(uuids)) for name, uuids in found.items() if uuids}


def stale(found: Sequence[Offer]) -> dict[str, str | None]:
    """The nodes whose plugin runs and offers something else than is there, each with the plugin's pod."""
    return {each.node: each.plugin for each in found if each.ready and not each.agrees}


def _all_agree(found: Sequence[Offer]) -> bool:
    return all(each.agrees for each in found)


def _disagreement(found: Sequence[Offer]) -> GroundworkError:
    waiting = "; ".join(f"{each} that NVML sees{each.by}" for each in found if not each.agrees)
    return GroundworkError(
        waiting,
        "Its device plugin says why: `microk8s kubectl logs --all-containers` of the plugin's pod on that node, or "
        "`describe` where it does not run. There is none on a node with the annotation groundwork/gpu-drain, which is "
        "in the middle of a change of its layout: run playbooks/operations/mig.yml, which goes on.",
    )


def _offer(node: Node, wanted: Wanted, pod: Object | None, template: Mapping[str, str]) -> Offer:
    found = Offer(node.name, str(node), node.allocatable, len(wanted.listed(node)), wanted.devices(node))
    if pod is None:
        return found
    outdated = not template.items() <= _annotations(pod["metadata"]).items()
    ready = proof.is_ready(pod) and not outdated
    return replace(found, plugin=pod["metadata"]["name"], ready=ready, outdated=outdated)


def _daemonsets(cluster: Cluster, plugin: Plugin) -> list[Object]:
    """The plugin's; none before it is installed."""
    found = cluster.get(plugin.daemonsets)["items"]
    return [each for each in found if each["metadata"]["name"] == plugin.name]


def _template(daemonset: Object) -> Mapping[str, str]:
    """What we write of MIG devices into the pods, and the chart of configurations; a change of it replaces them."""
    return _annotations(daemonset["spec"]["template"].get("metadata", {}))


def _annotations(metadata: Object) -> Mapping[str, str]:
    return metadata.get("annotations") or {}


def _is_plugins(pod: Object, plugin: Plugin) -> bool:
    owners = pod["metadata"].get("ownerReferences", ())
    leaving = "deletionTimestamp" in pod["metadata"]
    return not leaving and any((owner["kind"], owner["name"]) == ("DaemonSet", plugin.name) for owner in owners)
