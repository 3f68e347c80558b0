"""A cluster is taken over: in order, with permission, and by a second run where the first was killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu_operator import observe, takeover
from ansible.module_utils.groundwork.gpu_operator.apply import Steps
from ansible.module_utils.groundwork.gpu_operator.model import Evict, Settle, State, Thing
from ansible.module_utils.groundwork.gpu_operator.plan import plan

from tests.unit.module_utils import fakes
from tests.unit.module_utils.gpu_operator.fake_operated import HELM, SPACE, FakeOperated, make, node, operated, pod

ALLOWED = takeover.Allowed(disruption=True, reboot=True)
ASKED = takeover.Allowed(disruption=False, reboot=False)
TRAIN = "train-0"


class KilledError(Exception):
    """The run ends here."""


def busy() -> list[Any]:
    """Pods with GPUs: one that is served, one of a DaemonSet."""
    return [*operated(), pod(TRAIN, "ReplicaSet/ours"), make("DaemonSet", "dcgm"), pod("dcgm-1", "DaemonSet/dcgm")]


def adopt(
    cluster: FakeOperated, kept: Path, allowed: takeover.Allowed = ALLOWED, change: bool = True
) -> dict[str, Any]:
    return takeover.run(Steps(cluster, fakes.waiter(), fakes.waiter()), allowed, kept, change)


def free(cluster: FakeOperated) -> bool:
    """Nothing of the operator, and nodes open; what is not the operator's is as it was."""
    state = observe.observe(cluster)
    stayed = {"raycluster.ray.io", "view", "default", "n1", "n2"} <= set(
        cluster.names("CustomResourceDefinition", "ClusterRole", "Namespace", "Node")
    )
    labels = cluster.one("Node", "n2")["metadata"]["labels"]
    return not state.traces and not state.closed and stayed and "nvidia.com/gpu.product" in labels


def test_the_steps_come_in_an_order_that_leaves_nothing_half() -> None:
    cluster = FakeOperated(busy())
    verbs = [type(step).__name__ for step in plan(observe.observe(cluster))]
    assert verbs == [
        *("Claim", "Close", "Evict", "Delete", "Uninstall", "Settle"),
        *("Delete", "Delete", "Unmark", "Delete", "Restart", "Open"),
    ]


def test_a_cluster_is_free_afterwards(tmp_path: Path) -> None:
    cluster = FakeOperated(busy())
    found = adopt(cluster, tmp_path / "kept.json")
    assert free(cluster)
    assert (found["changed"], found["kept"], found["none_is_left"]["status"]) == (True, True, "failed")
    assert cluster.log.index("evict train-0") < cluster.log.index("delete clusterpolicy.nvidia.com/cluster-policy")
    assert cluster.log[-2:] == ["delete pod/dcgm-1", "taint n2 groundwork/adopt-"]


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    cluster = FakeOperated(busy())
    adopt(cluster, tmp_path / "kept.json")
    done = list(cluster.log)
    found = adopt(cluster, tmp_path / "kept.json")
    assert (found["changed"], found["actions"], cluster.log) == (False, [], done)
    assert found["none_is_left"]["status"] == "ok"


def test_check_mode_tells_the_steps_and_takes_none(tmp_path: Path) -> None:
    cluster = FakeOperated(busy())
    found = adopt(cluster, tmp_path / "kept.json", ASKED, change=False)
    assert found["changed"]
    assert "evict default/train-0 on n2 (its ReplicaSet makes another)" in found["actions"]
    assert (cluster.log, (tmp_path / "kept.json").exists()) == ([], False)


def kills() -> list[int]:
    """Every change of a whole run, by its number."""
    cluster = FakeOperated(busy())
    for step in plan(observe.observe(cluster)):
        Steps(cluster, fakes.waiter(), fakes.waiter()).apply(step)
    return list(range(len(cluster.log)))


@pytest.mark.parametrize("number", kills())
@pytest.mark.parametrize("answers", [True, False])
def test_a_run_that_was_killed_anywhere_is_finished_by_the_next(number: int, answers: bool, tmp_path: Path) -> None:
    cluster, left = FakeOperated(busy()), [number]
    cluster.answers = answers

    def kill(_: str) -> None:
        if not left[0]:
            raise KilledError
        left[0] -= 1

    cluster.before = kill
    with pytest.raises(KilledError):
        adopt(cluster, tmp_path / "kept.json")
    cluster.before = lambda _: None
    adopt(cluster, tmp_path / "kept.json")
    assert free(cluster)
    kept = json.loads((tmp_path / "kept.json").read_text())
    assert kept["labels of node n2"]["nvidia.com/mig.config"] == "all-disabled"


def test_gpu_pods_are_listed_and_stay_where_nobody_allowed_it(tmp_path: Path) -> None:
    cluster = FakeOperated(busy())
    with pytest.raises(GroundworkError, match="default/train-0 on n2") as caught:
        adopt(cluster, tmp_path / "kept.json", ASKED)
    assert "gpu_operator_allow_disruption" in caught.value.remedy
    assert (cluster.log, (tmp_path / "kept.json").exists()) == ([], False)


def test_without_gpu_pods_nothing_need_be_allowed(tmp_path: Path) -> None:
    cluster = FakeOperated(operated())
    adopt(cluster, tmp_path / "kept.json", ASKED)
    assert free(cluster)


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ({"driver": {"enabled": True}}, "host_reboot_allow_disruption"),
        ({"driver": {"enabled": False}, "sandboxWorkloads": {"enabled": True}}, "keep the operator"),
    ],
)
def test_what_cannot_be_taken_over_stays(part: dict[str, Any], named: str, tmp_path: Path) -> None:
    cluster = FakeOperated(operated())
    cluster.one("ClusterPolicy", "cluster-policy")["spec"] = part
    with pytest.raises(GroundworkError, match=named):
        adopt(cluster, tmp_path / "kept.json", ASKED)
    assert cluster.log == []


def test_finalizers_are_the_operators_where_it_runs(tmp_path: Path) -> None:
    cluster = FakeOperated(operated())
    cluster.one("ClusterPolicy", "cluster-policy")["metadata"]["finalizers"] = ["nvidia.com/finalizer"]
    adopt(cluster, tmp_path / "kept.json")
    assert free(cluster)
    assert not [line for line in cluster.log if line.startswith("change clusterpolicy")]


def test_finalizers_that_nobody_would_take_away_are_taken(tmp_path: Path) -> None:
    cluster = FakeOperated(operated())
    cluster.one("ClusterPolicy", "cluster-policy")["metadata"]["finalizers"] = ["nvidia.com/finalizer"]
    cluster.one("Deployment", "gpu-operator")["status"] = {}
    assert "since no operator runs that would" in " ".join(adopt(cluster, tmp_path / "kept.json")["actions"])
    assert free(cluster)


def test_a_policy_that_does_not_end_is_told_and_found_again(tmp_path: Path) -> None:
    cluster = FakeOperated(operated())
    cluster.one("ClusterPolicy", "cluster-policy")["metadata"]["finalizers"] = ["nvidia.com/finalizer"]
    cluster.answers = False
    with pytest.raises(
        GroundworkError, match=r"clusterpolicy.nvidia.com/cluster-policy was not gone after 10 s"
    ) as told:
        adopt(cluster, tmp_path / "kept.json")
    assert "scale its Deployment to 0" in told.value.remedy
    cluster.one("Deployment", "gpu-operator")["status"] = {}
    adopt(cluster, tmp_path / "kept.json")
    assert free(cluster)


def test_a_node_that_somebody_else_closed_stays_so() -> None:
    theirs = {"taints": [{"key": "theirs"}], "unschedulable": True}
    state = observe.observe(FakeOperated([{**node("n2", 1), "spec": theirs}], ()))
    assert plan(state) == ()


def test_a_node_that_a_killed_run_closed_is_opened(tmp_path: Path) -> None:
    cluster = FakeOperated([{**node("n2", 1), "spec": {"taints": [{"key": "groundwork/adopt"}]}}], ())
    assert adopt(cluster, tmp_path / "kept.json")["actions"] == ["open node n2"]
    assert cluster.one("Node", "n2")["spec"]["taints"] == []


def test_gpu_pods_on_our_own_wiring_are_left_alone(tmp_path: Path) -> None:
    cluster = FakeOperated([node("n2", 1), pod(TRAIN)], ())
    found = adopt(cluster, tmp_path / "kept.json", ASKED)
    assert (found["changed"], found["pods"], cluster.log) == (False, [], [])


def test_what_is_left_without_its_release_goes(tmp_path: Path) -> None:
    cluster = FakeOperated([make("ClusterRole", "gpu-operator", annotations=HELM), make("ClusterRole", "view")], ())
    adopt(cluster, tmp_path / "kept.json")
    assert cluster.names("ClusterRole") == ["view"]


def test_a_namespace_with_somebody_elses_work_stays(tmp_path: Path) -> None:
    cluster = FakeOperated([*operated(), make("StatefulSet", "database", SPACE)])
    adopt(cluster, tmp_path / "kept.json")
    assert (cluster.names("StatefulSet"), SPACE in cluster.names("Namespace")) == (["database"], True)


def test_settings_are_kept_for_root_alone(tmp_path: Path) -> None:
    kept = tmp_path / "new/kept.json"
    adopt(FakeOperated(operated()), kept)
    found = json.loads(kept.read_text())
    assert kept.stat().st_mode & 0o777 == 0o600
    assert sorted(found) == [
        "ClusterPolicy cluster-policy",
        f"ConfigMap {SPACE}/time-slicing",
        "labels of node n2",
        f"values of Helm release {SPACE}/gpu-operator (gpu-operator-v25.10.0)",
    ]


def test_a_budget_is_waited_for_and_named() -> None:
    cluster = FakeOperated([*operated(), pod(TRAIN)])
    cluster.budgets["default/train-0"] = "Cannot evict pod as it would violate the pod's disruption budget."
    (evict,) = [step for step in plan(observe.observe(cluster)) if isinstance(step, Evict)]
    with pytest.raises(GroundworkError, match=r"default/train-0 \(Cannot evict pod"):
        Steps(cluster, fakes.waiter(), fakes.waiter()).apply(evict)


def test_an_operand_that_does_not_end_is_named() -> None:
    cluster = FakeOperated(operated())
    toolkit = Thing("daemonset.apps", "nvidia-container-toolkit-daemonset", SPACE)
    with pytest.raises(GroundworkError, match="pod/toolkit-1 in gpu-operator-resources"):
        Steps(cluster, fakes.waiter(), fakes.waiter()).apply(Settle((toolkit,), ()))


def test_another_plugin_is_waited_for_in_vain_and_no_longer() -> None:
    cluster = FakeOperated([node("n2", 1)], ())
    patience = fakes.waiter(5)
    Steps(cluster, fakes.waiter(), patience).apply(Settle((), ()))
    assert patience.clock() >= 5


def test_the_driver_goes_last() -> None:
    things = [Thing("clusterpolicy.nvidia.com", "a"), Thing("nvidiadriver.nvidia.com", "b")]
    state = State(policies=tuple(things))
    assert [str(step) for step in plan(state)][:2] == [f"delete {thing}" for thing in things]
