"""The module that has a node's GPUs left by everybody, and everybody back, as Ansible runs it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from ansible.module_utils.groundwork.kubernetes.drain import MARK

from tests.unit.library.conftest import Module
from tests.unit.library.test_modules import documented
from tests.unit.module_utils.kubernetes.test_kubernetes_drain import ALONE, PLUGIN, TRAIN, Api

Load = Callable[[str], Module]
NAME = "kubernetes_gpu_drain"


@pytest.fixture
def on(load: Load, monkeypatch: pytest.MonkeyPatch) -> Callable[[Api], Module]:
    """The module on a cluster that is given."""

    def prepare(api: Api) -> Module:
        module = load(NAME)
        monkeypatch.setattr(module.code, "Client", lambda *_: api)
        return module

    return prepare


def test_a_node_is_drained_served_and_open_again_and_each_a_second_time_is_no_change(
    on: Callable[[Api], Module],
) -> None:
    api = Api(PLUGIN, TRAIN)
    module = on(api)
    told = [
        module.run(node="n2", state=state, allow_disruption=True)
        for state in ("drained", "drained", "served", "served", "open", "open")
    ]
    assert [each["changed"] for each in told] == [True, False] * 3
    assert [each["interrupted"] for each in told] == [False, True, True, True, True, False]
    assert told[0]["holders"] == ["team-a/train-0 (1 nvidia.com/gpu)"]
    assert (api.cordoned, api.traces) == (False, (None, None))


def test_it_returns_what_is_documented(on: Callable[[Api], Module]) -> None:
    told = on(Api(PLUGIN)).run(check=True, node="n2", state="drained")
    assert set(documented(NAME, "RETURN")) == set(told) - {"changed", "invocation"}


def test_who_drains_is_written_on_the_node(on: Callable[[Api], Module]) -> None:
    api = Api(PLUGIN)
    on(api).run(node="n2", state="drained", reason="operations/driver")
    assert json.loads(api.node["metadata"]["annotations"][MARK])["by"] == "operations/driver"


def test_in_check_mode_what_is_in_the_way_fails_as_it_would(on: Callable[[Api], Module]) -> None:
    api = Api(PLUGIN, TRAIN, ALONE)
    told = on(api).run(check=True, node="n2", state="drained")
    assert (told["failed"], told["changed"], api.log) == (True, False, [])
    assert "team-a/train-0" in told["msg"]
    assert "nobody makes it again" in told["msg"]
    assert "gpu_mig_allow_disruption" in told["remedy"]


def test_in_check_mode_the_steps_are_told_and_none_is_taken(on: Callable[[Api], Module]) -> None:
    api = Api(PLUGIN, TRAIN)
    told = on(api).run(check=True, node="n2", state="drained", allow_disruption=True)
    assert told["actions"] == ["cordon", "evict team-a/train-0 (1 nvidia.com/gpu)", "pause GPU clients"]
    assert (told["changed"], api.log) == (True, [])
    assert told["diff"]["before"] != told["diff"]["after"]


def test_a_pod_whose_budget_forbids_it_fails_at_the_deadline_and_leaves_the_node_cordoned(
    on: Callable[[Api], Module],
) -> None:
    api = Api(PLUGIN, TRAIN)
    api.budget = {"train-0"}
    told = on(api).run(node="n2", state="drained", allow_disruption=True, timeout_seconds=0.1)
    assert (told["failed"], told["changed"]) == (True, False)
    assert "Cannot evict pod as it would violate" in told["msg"]
    assert "Run again to go on" in told["remedy"]
    assert api.cordoned
    api.budget = set()
    again = on(api).run(node="n2", state="drained", allow_disruption=True)
    assert again["actions"] == ["evict team-a/train-0 (1 nvidia.com/gpu)", "pause GPU clients"]
    assert again["interrupted"]


def test_a_host_that_is_no_node_fails_with_the_remedy(on: Callable[[Api], Module]) -> None:
    told = on(Api()).run(node="n9", state="open")
    assert "n9 is no node of the cluster" in told["msg"]
    assert "playbooks/cluster.yml" in told["remedy"]
