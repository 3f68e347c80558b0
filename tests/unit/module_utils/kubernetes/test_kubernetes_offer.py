"""GPUs on offer: waited for, and the plugin started again only where it runs and is wrong."""

from __future__ import annotations

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes import offer
from ansible.module_utils.groundwork.kubernetes.cluster import Object
from ansible.module_utils.groundwork.kubernetes.gpus import Wanted
from ansible.module_utils.groundwork.kubernetes.offer import Plugin

from tests.unit.module_utils.fakes import waiter
from tests.unit.module_utils.kubernetes.fake_cluster import FakeCluster

PLUGIN = Plugin("nvidia-device-plugin", "nvidia-device-plugin")
TWO = {"n2": ["GPU-a", "GPU-b"], "n3": ["GPU-c", "GPU-d"]}
LISTED = {node: {"nvidia.com/gpu": uuids} for node, uuids in TWO.items()}


def pod(node: str, ready: bool = True, owner: str = PLUGIN.name, config: str = "new", name: str = "") -> Object:
    return {
        "kind": "Pod",
        "metadata": {
            "name": name or f"{owner}-{node}",
            "annotations": {"checksum/config": config, "kubernetes.io/something": "of others"},
            "namespace": PLUGIN.namespace,
            "ownerReferences": [{"kind": "DaemonSet", "name": owner}],
        },
        "spec": {"nodeName": node, "containers": [{}]},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


class PluginCluster(FakeCluster):
    """Nodes with the device plugin, which offers a node's GPUs when it is started again."""

    def __init__(self, **offered: int) -> None:
        super().__init__(dict(TWO))
        self.allocatable |= offered
        for node in TWO:
            self.put(pod(node))
            self.put(pod(node, owner="nvidia-device-plugin-gpu-feature-discovery"))
        self.on_delete = self.start_again
        annotations = {"metadata": {"annotations": {"checksum/config": "new"}}}
        self.daemonsets = [{"metadata": {"name": PLUGIN.name}, "spec": {"template": annotations}}]

    def put(self, made: Object) -> None:
        self.objects[f"{PLUGIN.pods}/{made['metadata']['name']}"] = made

    def start_again(self, path: str) -> None:
        node = path.rpartition("-")[2]
        self.allocatable[node] = len(TWO[node])
        self.put(pod(node, name=f"again-{node}"))

    @property
    def deleted(self) -> list[str]:
        return [line.rpartition("/")[2] for line in self.log if line.startswith("delete")]


def settle(cluster: FakeCluster) -> list[str]:
    return offer.settle(cluster, Wanted(LISTED, image=""), PLUGIN, waiter(60), waiter(5))[0]


def test_what_agrees_is_left_alone() -> None:
    cluster = PluginCluster()
    assert (settle(cluster), cluster.deleted) == ([], [])


def test_a_plugin_that_runs_and_is_wrong_is_started_again_and_no_other() -> None:
    cluster = PluginCluster(n3=0)
    assert (settle(cluster), cluster.deleted) == (["n3"], ["nvidia-device-plugin-n3"])


def test_a_plugin_that_needs_a_moment_gets_it() -> None:
    cluster = PluginCluster(n3=1)
    asked = iter(range(100))
    inner = cluster.get

    def get(path: str, **query: str) -> Object:
        if path == "/api/v1/nodes" and next(asked) == 3:
            cluster.allocatable["n3"] = 2
        return inner(path, **query)

    cluster.get = get  # type: ignore[method-assign]
    assert (settle(cluster), cluster.deleted) == ([], [])


def test_one_that_does_not_run_is_waited_for_and_named() -> None:
    cluster = PluginCluster(n3=0)
    cluster.put(pod("n3", ready=False))
    with pytest.raises(GroundworkError, match="n3 offers 0 of 2 GPUs that NVML sees") as raised:
        settle(cluster)
    assert "describe" in raised.value.remedy
    assert cluster.deleted == []


def test_one_that_stays_wrong_is_named() -> None:
    cluster = PluginCluster(n2=1)
    cluster.on_delete = lambda _: cluster.put(pod("n2", name="again"))
    with pytest.raises(GroundworkError, match="n2 offers 1 of 2 GPUs that NVML sees"):
        settle(cluster)


def test_what_would_be_started_again() -> None:
    found = offer.offers(PluginCluster(n3=1), Wanted(LISTED, image=""), PLUGIN)
    assert [str(each) for each in found] == ["n2 offers 2 of 2 GPUs", "n3 offers 1 of 2 GPUs"]
    assert offer.stale(found) == {"n3": "nvidia-device-plugin-n3"}
    assert str(found[1].healed()) == "n3 offers 2 of 2 GPUs"


def test_mig_devices_are_counted_by_their_resource_and_the_plugin_started_again_once() -> None:
    listed = {"n2": {"nvidia.com/gpu": ["GPU-a"], "nvidia.com/mig-1g.10gb": ["MIG-a", "MIG-b"]}}
    found = offer.offers(PluginCluster(n2=2), Wanted(listed, image=""), PLUGIN)
    assert [str(each) for each in found] == ["n2 offers 2 of 1 GPUs", "n2 nvidia.com/mig-1g.10gb offers 0 of 2 GPUs"]
    assert offer.stale(found) == {"n2": "nvidia-device-plugin-n2"}


def test_shares_are_told_from_gpus() -> None:
    listed = {"n2": {"nvidia.com/gpu": ["GPU-a", "GPU-a", "GPU-b", "GPU-b"]}}
    (found,) = offer.offers(PluginCluster(), Wanted(listed, image=""), PLUGIN)
    assert str(found) == "n2 offers 2 of 4 shares of 2 GPUs"


def test_what_agrees_by_a_plugin_of_before_the_last_change_is_waited_for() -> None:
    """Other MIG devices, as many as before: the old plugin's number is right, and its devices are gone."""
    cluster = PluginCluster()
    cluster.put(pod("n3", config="old"))
    asked = iter(range(100))
    inner = cluster.get

    def get(path: str, **query: str) -> Object:
        if path == PLUGIN.pods and next(asked) == 3:
            cluster.put(pod("n3"))
        return inner(path, **query)

    cluster.get = get  # type: ignore[method-assign]
    assert (settle(cluster), cluster.deleted, next(asked)) == ([], [], 4)


def test_a_plugin_that_is_never_replaced_is_named() -> None:
    cluster = PluginCluster()
    cluster.put(pod("n3", config="old"))
    with pytest.raises(GroundworkError, match="n3 offers 2 of 2 GPUs that NVML sees, by a plugin that is about"):
        settle(cluster)
    assert cluster.deleted == []


def test_a_node_between_two_plugins_offers_nothing_yet() -> None:
    cluster = PluginCluster()
    del cluster.objects[f"{PLUGIN.pods}/nvidia-device-plugin-n3"]
    found = offer.offers(cluster, Wanted(LISTED, image=""), PLUGIN)
    assert [each.agrees for each in found] == [True, False]
    assert str(found[1]) + found[1].by == "n3 offers 2 of 2 GPUs, without a plugin"


SMALL, SHARED = "nvidia.com/mig-1g.10gb", "nvidia.com/mig-2g.20gb.shared"
CUT = {"nvidia.com/gpu": ["GPU-a"], SMALL: ["MIG-a", "MIG-b"], SHARED: ["MIG-c", "MIG-c"], "nvidia.com/mig-2g.20gb": []}


class Labelled(FakeCluster):
    """A node whose labels follow after a while."""

    def __init__(self, *labels: dict[str, str]) -> None:
        super().__init__({"n2": ["GPU-a"]})
        self.labels = list(labels)

    def _node(self, name: str) -> Object:
        labels = self.labels.pop(0) if len(self.labels) > 1 else self.labels[0]
        return {"metadata": {"name": name, "labels": labels}, "status": {}}


RIGHT = {f"{SMALL}.count": "2", "nvidia.com/mig-2g.20gb.count": "1", "nvidia.com/gpu.count": "2", "other": "label"}


def test_labels_are_waited_for_until_they_count_what_there_is() -> None:
    stale = {**RIGHT, "nvidia.com/mig-3g.40gb.count": "1"}
    cluster = Labelled({}, {f"{SMALL}.count": "7"}, stale, RIGHT)
    offer.await_labels(cluster, Wanted({"n2": CUT}, image=""), waiter(10))
    assert cluster.labels == [RIGHT]


@pytest.mark.parametrize("labels", [{}, {f"{SMALL}.count": "7"}, {**RIGHT, "nvidia.com/mig-3g.40gb.count": "1"}])
def test_labels_that_do_not_follow_are_told(labels: dict[str, str]) -> None:
    with pytest.raises(GroundworkError, match="Labels do not count the MIG devices that NVML sees: n2 says") as raised:
        offer.await_labels(Labelled(labels), Wanted({"n2": CUT}, image=""), waiter(5))
    assert "nfd-master" in raised.value.remedy


def test_strategy_single_counts_mig_devices_as_gpus() -> None:
    single = Wanted({"n2": {"nvidia.com/gpu": ["MIG-a", "MIG-b"]}}, image="")
    offer.await_labels(Labelled({"nvidia.com/gpu.count": "1"}, {"nvidia.com/gpu.count": "2"}), single, waiter(5))
    with pytest.raises(GroundworkError, match="n2 says"):
        offer.await_labels(Labelled({"nvidia.com/gpu.count": "1"}), single, waiter(5))


def test_whole_gpus_need_no_label() -> None:
    offer.await_labels(Labelled({}), Wanted({"n2": {"nvidia.com/gpu": ["GPU-a"]}}, image=""), waiter(5))
