"""Burn-in in pods of a cluster in memory: one on each free GPU, and nobody is disturbed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from ansible.module_utils.groundwork.burn_in import pods
from ansible.module_utils.groundwork.burn_in.pods import Outcome, Wanted
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes.cluster import Object

from tests.unit.module_utils.fakes import waiter
from tests.unit.module_utils.kubernetes.fake_cluster import FakeCluster, user_pod

GPUS = {"n1": ["GPU-0", "GPU-1"], "n2": ["GPU-2", "GPU-3"]}
REASON = "CUDA cannot be initialised: no driver"


def wanted(cluster: FakeCluster, **beside: Any) -> Wanted:
    return Wanted({node: {"nvidia.com/gpu": uuids} for node, uuids in cluster.gpus.items()}, "torch:1", **beside)


def result(test: str = "copy") -> Object:
    return {"gpu": "", "product": "H100", "test": test, "unit": "GB/s", "best": 1.0, "sustained": 1.0, "wrong": 0,
            "checked": 1, "note": "", "sizes": {}}  # fmt: skip


def programs(cluster: FakeCluster, cuda: bool = True) -> None:
    """What both programs in pods answer: NVML's with the words ["gpus"], the burn-in's with more."""

    def answer(pod: str, words: Sequence[str]) -> Object:
        if list(words) == ["gpus"]:
            return {"gpus": [{"uuid": cluster.held[pod]}]}
        if words[0] == "all-reduce" or cuda:
            return {"results": [result(words[0])], "reason": ""}
        return {"results": [], "reason": REASON}

    cluster.answer = answer


def run(cluster: FakeCluster, cuda: bool = True) -> Outcome:
    programs(cluster, cuda)
    return pods.run(cluster, lambda: cluster, wanted(cluster), waiter(30))


def test_a_pod_on_each_free_gpu_and_its_uuid_beside_what_it_told() -> None:
    cluster = FakeCluster(GPUS)
    done = run(cluster)
    assert sorted((each.node, each.gpu) for each in done.told) == [
        ("n1", "GPU-0"),
        ("n1", "GPU-1"),
        ("n2", "GPU-2"),
        ("n2", "GPU-3"),
    ]
    assert all(each.results and not each.problem for each in done.told)
    assert (len(done.across_pods), done.pods_not_run) == (4, "")
    assert ([each.node for each in done.across_gpus], done.gpus_not_run) == (["n1", "n2"], "")


def test_nothing_is_left() -> None:
    cluster = FakeCluster(GPUS)
    run(cluster)
    assert cluster.objects == {}


def test_gpus_in_use_are_named_and_left_alone() -> None:
    cluster = FakeCluster(GPUS, [user_pod("n1", "train-0", 1)])
    done = run(cluster)
    assert sorted(each.gpu for each in done.told) == ["GPU-1", "GPU-2", "GPU-3"]
    assert done.plan.left == ("n1: 1 in use by default/train-0",)
    assert [each.node for each in done.across_gpus] == ["n2"]


def test_shared_gpus_and_mig_devices_are_left_alone() -> None:
    cluster = FakeCluster({"n1": ["GPU-0", "GPU-0"], "n2": ["GPU-1"]})
    cluster.mig["n2"] = {"nvidia.com/mig-1g.10gb": ["MIG-0", "MIG-1"]}
    done = run(cluster)
    assert [each.gpu for each in done.told] == ["GPU-1"]
    assert done.plan.left == (
        "n1: shared, so others may be at work on them",
        "n2 nvidia.com/mig-1g.10gb: 2, cut or shared",
    )
    assert done.pods_not_run == "1 pods run"
    assert done.gpus_not_run == "no node has two free GPUs"


def test_without_cuda_the_sum_over_pods_is_run_and_that_over_gpus_is_not() -> None:
    done = run(FakeCluster(GPUS), cuda=False)
    assert {each.reason for each in done.told} == {REASON}
    assert len(done.across_pods) == 4
    assert (done.across_gpus, done.gpus_not_run) == ((), REASON)


def test_ranks_meet_at_the_first_pod() -> None:
    cluster = FakeCluster(GPUS)
    run(cluster)
    asked = sorted(line for line in cluster.log if " all-reduce --rank" in line)
    assert [line.split("--rank ")[1].split()[0] for line in asked] == ["0", "1", "2", "3"]
    assert {line.split("--master ")[1].split()[0] for line in asked} == {"10.1.0.1:29500"}
    assert all("--world 4" in line for line in asked)


def test_a_pod_that_does_not_run_is_told_with_its_problem() -> None:
    cluster = FakeCluster(GPUS, ready=False)
    done = run(cluster)
    assert {each.problem for each in done.told} == {"Pending after the time given"}
    assert cluster.objects == {}


def test_a_program_that_gives_no_answer_is_told_with_what_it_said() -> None:
    cluster = FakeCluster(GPUS)
    cluster.answer = lambda _, words: {"gpus": []} if list(words) == ["gpus"] else {"error": "Traceback\nKilled"}
    done = pods.run(cluster, lambda: cluster, wanted(cluster), waiter(30))
    assert {each.problem for each in done.told} == {"Killed"}
    assert {each.gpu for each in done.told} == {"gpu-n1-0", "gpu-n1-1", "gpu-n2-0", "gpu-n2-1"}


def test_a_gpu_that_somebody_takes_meanwhile_is_not_waited_for() -> None:
    cluster = FakeCluster({"n1": ["GPU-0", "GPU-1"]})

    def take(made: Object) -> None:
        if made["metadata"]["name"] == "gpu-n1-0":
            cluster.users.append(user_pod("n1", "quick", 1))

    cluster.on_create = take
    done = run(cluster)
    assert sorted(bool(each.problem) for each in done.told) == [False, True]
    assert "Insufficient nvidia.com/gpu" in next(each.problem for each in done.told if each.problem)


def test_another_namespace_of_that_name_is_refused() -> None:
    cluster = FakeCluster(GPUS)
    cluster.objects["/api/v1/namespaces/groundwork-burn-in"] = {
        "kind": "Namespace",
        "metadata": {"name": "groundwork-burn-in"},
    }
    with pytest.raises(GroundworkError, match="is not Groundwork's"):
        run(cluster)


def test_what_would_be_done_is_told_without_doing_it() -> None:
    cluster = FakeCluster(GPUS, [user_pod("n2", "train-0", 2)])
    found = pods.observe(cluster, wanted(cluster))
    assert dict(found.pods) == {"gpu-n1-0": "n1", "gpu-n1-1": "n1"}
    assert not any(line.startswith(("create", "delete", "ask")) for line in cluster.log)


def test_pods_are_restricted_and_have_torchs_memory() -> None:
    made = pods.pod(Wanted({}, "torch:1", memory_mib=100), "gpu-n1-0", "n1", 2)
    [container] = made["spec"]["containers"]
    assert container["resources"]["limits"] == {"memory": "200Mi", "nvidia.com/gpu": "2"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert made["spec"]["securityContext"]["runAsNonRoot"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in made["spec"]["volumes"]}
