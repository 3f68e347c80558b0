"""A node's GPUs left by everybody, and everybody back; killed anywhere, the next one finishes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes import drain
from ansible.module_utils.groundwork.kubernetes.cluster import KubernetesError, Object
from ansible.module_utils.groundwork.kubernetes.drain import CLIENTS, MARK, Wanted
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.module_utils.fakes import waiter

NODE = "/api/v1/nodes/n2"
GPU, SMALL = "nvidia.com/gpu", "nvidia.com/mig-1g.10gb"
Change = Callable[["Api"], None]
STATES: tuple[drain.State, ...] = ("drained", "served", "open")


def pod(name: str, resource: str = "", owner: str = "", node: str = "n2", **fields: Any) -> Object:
    limits = {"limits": {resource: "1", "memory": "1Gi"}} if resource else {}
    kind, _, of = owner.partition("/")
    owners = [{"kind": kind, "name": of, "controller": True}] if owner else []
    metadata = {"name": name, "namespace": "team-a", "ownerReferences": owners}
    return {"metadata": metadata, "spec": {"nodeName": node, "containers": [{"resources": limits}], **fields}}


PLUGIN = pod("plugin-n2", owner="DaemonSet/plugin")
TRAIN = pod("train-0", GPU, "Job/train")
ALONE = pod("notebook", SMALL)


class Api:
    """A node with pods, whose DaemonSet leaves while it is paused; `die` ends who calls at its nth change."""

    def __init__(self, *pods: Object, cordoned: bool = False) -> None:
        self.node: Object = {"metadata": {"name": "n2"}, "spec": {"unschedulable": True} if cordoned else {}}
        self.pods = [*copy.deepcopy(pods)]
        self.log: list[str] = []
        self.die = -1
        self.budget: set[str] = set()
        self.after: Change = lambda _: None

    def get(self, path: str, **query: str) -> Object:
        if path == NODE:
            return copy.deepcopy(self.node)
        if path == "/api/v1/pods":
            assert query["fieldSelector"].startswith("spec.nodeName=n2,status.phase!=")
            return {"items": copy.deepcopy(self.pods)}
        if path == "/apis/apps/v1/daemonsets":
            return {"items": [daemonset("plugin", {"nodeAffinity": [{"key": CLIENTS}]}), daemonset("calico", {})]}
        raise KubernetesError("not found", "", 404)

    def create(self, path: str, body: Object) -> Object:
        name = body["metadata"]["name"]
        assert path == f"/api/v1/namespaces/team-a/pods/{name}/eviction"
        assert (body["kind"], body["apiVersion"]) == ("Eviction", "policy/v1")
        self._change(f"evict {name}")
        if name in self.budget:
            raise KubernetesError("Cannot evict pod as it would violate the pod's disruption budget.", "", 429)
        self.pods = [each for each in self.pods if each["metadata"]["name"] != name]
        return {}

    def patch(self, path: str, body: Object) -> Object:
        assert path == NODE
        self._change(json.dumps(body))
        self.node = merged(self.node, body)
        self.pods = [each for each in self.pods if each["metadata"]["name"] != "plugin-n2"]
        if (self.node["metadata"].get("labels") or {}).get(CLIENTS) != "paused":
            self.pods.append(copy.deepcopy(PLUGIN))
        self.after(self)
        return self.node

    def _change(self, what: str) -> None:
        if len(self.log) == self.die:
            raise KeyboardInterrupt
        self.log.append(what)

    @property
    def names(self) -> list[str]:
        return [each["metadata"]["name"] for each in self.pods]

    @property
    def cordoned(self) -> bool:
        return bool(self.node["spec"].get("unschedulable"))

    @property
    def traces(self) -> tuple[Any, Any]:
        metadata = self.node["metadata"]
        return (metadata.get("labels") or {}).get(CLIENTS), (metadata.get("annotations") or {}).get(MARK)


def daemonset(name: str, affinity: Object) -> Object:
    return {"metadata": {"name": name, "namespace": "team-a"}, "spec": {"template": {"spec": {"affinity": affinity}}}}


def merged(into: Any, change: Any) -> Any:
    """RFC 7386."""
    if not isinstance(change, dict):
        return change
    found = {**(into if isinstance(into, dict) else {})}
    for key, value in change.items():
        found[key] = merged(found.get(key), value)
        if value is None:
            del found[key]
    return found


def make(api: Api, state: drain.State, allow: bool = True, change: bool = True) -> dict[str, Any]:
    return drain.declare(api, "n2", Wanted(state, allow_disruption=allow), waiter(5), change=change)


def test_drained_served_and_open_again() -> None:
    api = Api(PLUGIN, TRAIN, pod("web", owner="ReplicaSet/web"))
    done = make(api, "drained")
    assert done["actions"] == ["cordon", "evict team-a/train-0 (1 nvidia.com/gpu)", "pause GPU clients"]
    assert done["diff"]["after"] == "n2: cordoned, GPU clients paused\n"
    assert (api.cordoned, api.names) == (True, ["web"])
    assert json.loads(api.traces[1]) == {"by": "operations/mig", "uncordon": True}
    assert make(api, "served")["actions"] == ["resume GPU clients"]
    assert (api.cordoned, api.names) == (True, ["web", "plugin-n2"])
    done = make(api, "open")
    assert (done["actions"], done["interrupted"]) == (["uncordon"], True)
    assert (api.cordoned, api.traces) == (False, (None, None))


@pytest.mark.parametrize("state", STATES)
def test_a_second_time_changes_nothing(state: drain.State) -> None:
    api = Api(PLUGIN, TRAIN)
    make(api, "drained")
    make(api, state)
    log = list(api.log)
    again = make(api, state)
    assert (again["changed"], again["actions"], api.log) == (False, [], log)
    assert again["diff"]["before"] == again["diff"]["after"]


def test_check_mode_tells_what_would_be_done_and_does_nothing() -> None:
    api = Api(PLUGIN, TRAIN, ALONE)
    would = make(api, "drained", change=False)
    assert (would["changed"], would["daemonsets"], api.log) == (True, ["team-a/plugin"], [])
    assert would["diff"]["after"] == make(api, "drained")["diff"]["after"]


def test_pods_in_the_way_are_listed_and_nothing_is_touched() -> None:
    api = Api(PLUGIN, TRAIN, ALONE, pod("web"))
    with pytest.raises(GroundworkError) as raised:
        make(api, "drained", allow=False)
    assert raised.value.message == (
        "n2: pods hold its GPUs: team-a/train-0 (1 nvidia.com/gpu), team-a/notebook (1 nvidia.com/mig-1g.10gb, and "
        "nobody makes it again)"
    )
    assert "gpu_mig_allow_disruption" in raised.value.remedy
    assert api.log == []


def test_a_pod_of_a_daemonset_would_be_back_at_once() -> None:
    with pytest.raises(GroundworkError, match="pods of DaemonSets hold GPUs, and would be back at once: team-a/each"):
        make(Api(pod("each-n2", GPU, "DaemonSet/each")), "drained")


def test_one_that_comes_before_the_node_is_cordoned_is_refused_and_the_node_is_as_it_was() -> None:
    api = Api(PLUGIN)
    api.after = lambda api: api.pods.append(copy.deepcopy(TRAIN)) if len(api.log) == 1 else None
    with pytest.raises(GroundworkError, match="train-0"):
        make(api, "drained", allow=False)
    assert (api.cordoned, api.traces) == (False, (None, None))


def test_a_budget_is_heeded_and_named() -> None:
    api = Api(PLUGIN, TRAIN)
    api.budget = {"train-0"}
    with pytest.raises(GroundworkError, match=r"train-0 \(1 nvidia.com/gpu\): Cannot evict pod as it would violate"):
        make(api, "drained")
    assert api.cordoned
    api.budget = set()
    assert make(api, "drained")["interrupted"]


def test_a_client_that_does_not_leave_is_named() -> None:
    api = Api(PLUGIN)
    api.after = lambda api: api.pods.append(copy.deepcopy(PLUGIN))
    with pytest.raises(GroundworkError, match="pods that read GPUs do not leave: plugin-n2"):
        make(api, "drained")


def test_a_node_that_somebody_else_cordoned_stays_cordoned() -> None:
    api = Api(PLUGIN, cordoned=True)
    make(api, "drained")
    assert make(api, "open")["actions"] == ["resume GPU clients", "forget"]
    assert (api.cordoned, api.traces) == (True, (None, None))


def test_a_node_that_is_none() -> None:
    with pytest.raises(GroundworkError, match="n9 is no node of the cluster"):
        drain.declare(Api(), "n9", Wanted("drained"), waiter(5), change=True)


@given(
    st.lists(st.sampled_from([TRAIN, ALONE, pod("web")]), unique_by=str),
    st.booleans(),
    st.lists(st.integers(0, 6), max_size=4),
)
def test_killed_at_any_change_a_rerun_finishes(pods: list[Object], cordoned: bool, deaths: list[int]) -> None:
    """And however often: at the end the node is as somebody else had it."""
    api = Api(PLUGIN, *pods, cordoned=cordoned)
    for death in deaths:
        api.die = len(api.log) + death
        try:
            for state in STATES:
                make(api, state)
        except KeyboardInterrupt:
            continue
    api.die = -1
    for state in STATES[:2]:
        make(api, state)
        assert api.cordoned
        assert not {"train-0", "notebook"} & set(api.names)
        assert ("plugin-n2" in api.names) == (state == "served")
    make(api, "open")
    assert (api.cordoned, api.traces) == (cordoned, (None, None))
