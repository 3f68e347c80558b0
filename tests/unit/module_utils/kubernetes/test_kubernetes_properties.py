"""What holds for every cluster, and whichever call fails: proofs judge rightly, disturb nobody and leave nothing."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from ansible.module_utils.groundwork.check import Check, worst
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes import gpus, network
from ansible.module_utils.groundwork.kubernetes.cluster import Object
from ansible.module_utils.groundwork.kubernetes.gpus import Wanted
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.module_utils.fakes import waiter
from tests.unit.module_utils.kubernetes.fake_cluster import RESOURCE, FakeCluster, refused, user_pod
from tests.unit.module_utils.kubernetes.test_kubernetes_network import Network

sizes = st.dictionaries(st.sampled_from(["n1", "n2", "n3", "n4"]), st.integers(0, 4), min_size=1)
sizes_of_mig = st.integers(0, 3)


@st.composite
def clusters(draw: st.DrawFn) -> FakeCluster:
    """Nodes with up to four GPUs each, and MIG devices, some of which pods of users hold."""
    numbers = itertools.count()
    nodes = {name: [f"GPU-{next(numbers)}" for _ in range(count)] for name, count in sorted(draw(sizes).items())}
    users = [
        user_pod(name, f"train-{name}", count)
        for name, uuids in nodes.items()
        if (count := draw(st.integers(0, len(uuids))))
    ]
    cluster = FakeCluster(nodes, users)
    for name in draw(st.sets(st.sampled_from(sorted(nodes)))):
        counts = draw(
            st.dictionaries(st.sampled_from(["nvidia.com/mig-1g.10gb", "nvidia.com/mig-3g.40gb"]), sizes_of_mig)
        )
        cluster.mig[name] = {key: [f"MIG-{next(numbers)}" for _ in range(count)] for key, count in counts.items()}
        for key, count in counts.items():
            cluster.users.append(user_pod(name, f"small-{name}-{key[-4:]}", draw(st.integers(0, count)), resource=key))
    return cluster


def prove(cluster: FakeCluster, listed: dict[str, list[str]] | None = None) -> list[Check]:
    uuids = listed if listed is not None else cluster.gpus
    nodes = {name: {RESOURCE: uuids[name], **cluster.mig.get(name, {})} for name in uuids}
    wanted = Wanted(nodes, "docker.io/library/python:3.11")
    return [*gpus.compare(cluster, wanted), *gpus.prove(cluster, wanted, waiter())]


@given(clusters())
def test_no_healthy_cluster_fails(cluster: FakeCluster) -> None:
    assert worst(prove(cluster)) in ("ok", "skipped")


@given(clusters())
def test_users_pods_are_left_alone_and_nothing_of_ours_is_left(cluster: FakeCluster) -> None:
    users = copy.deepcopy(cluster.users)
    prove(cluster)
    assert cluster.users == users
    assert (cluster.objects, cluster.held) == ({}, {})
    assert not any("/namespaces/default" in line for line in cluster.log if not line.startswith("get"))


@given(clusters())
def test_every_free_gpu_gets_a_pod_and_no_more(cluster: FakeCluster) -> None:
    free = {name: len(cluster.free(name)) for name in cluster.gpus}
    cut = sum(len(cluster.free(name, resource)) for name, kinds in cluster.mig.items() for resource in kinds)
    prove(cluster)
    made = [line.rsplit("/", 1)[1] for line in cluster.log if line.startswith("create") and "/pods/" in line]
    asked = [line.split()[1] for line in cluster.log if line.startswith("ask")]
    assert {name: sum(pod.startswith(f"gpu-{name}-") for pod in made) for name in cluster.gpus} == free
    assert sum(pod.startswith("gpu-mig-") for pod in made) == cut
    assert sorted(asked) == sorted(pod for pod in made if pod.startswith("gpu-"))


@given(clusters(), st.data())
def test_a_gpu_that_kubernetes_lacks_is_always_missed(cluster: FakeCluster, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(cluster.gpus)))
    listed = {node: list(uuids) for node, uuids in cluster.gpus.items()}
    listed[name].append("GPU-unknown-to-the-plugin")
    found = {check.name: check for check in prove(cluster, listed)}
    missed = found["kubernetes_gpu.allocatable_equals_nvml"]
    assert missed.status == "failed"
    assert name in missed.observed


@given(clusters(), st.data())
def test_two_pods_on_one_gpu_are_always_noticed(cluster: FakeCluster, data: st.DataObject) -> None:
    crowded = [name for name in cluster.gpus if len(cluster.free(name)) > 1]
    if not crowded:
        return
    name = data.draw(st.sampled_from(crowded))
    inner = cluster.answer

    def answer(pod: str, words: Sequence[str]) -> Object:
        return {"gpus": [{"uuid": cluster.gpus[name][-1]}]} if pod.startswith(f"gpu-{name}-") else inner(pod, words)

    cluster.answer = answer
    found = {check.name: check for check in prove(cluster)}
    assert found["kubernetes_gpu.pods_see_their_gpu"].status == "failed"


def broken(cluster: Any, number: int, methods: Sequence[str] = ("get", "create", "delete", "ask")) -> list[int]:
    """Let the call of that number fail once, of all calls that a proof makes; gives the count of calls so far."""
    count = [0]

    def wrap(method: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            count[0] += 1
            if count[0] == number:
                raise refused(500)
            return method(*arguments, **options)

        return call

    for name in methods:
        setattr(cluster, name, wrap(getattr(cluster, name)))
    return count


def fresh() -> FakeCluster:
    return FakeCluster({"n2": ["GPU-a", "GPU-b"], "n3": ["GPU-c"]}, [user_pod("n2")])


def calls_of(cluster: Any, run: Any) -> int:
    count = broken(cluster, 0)
    run(cluster)
    return count[0]


def prove_network(cluster: Network) -> list[Check]:
    return network.prove(cluster, network.Wanted(["n1", "n2"], "image"), waiter())


GPU_CALLS = calls_of(fresh(), prove)
NETWORK_CALLS = calls_of(Network("n1", "n2"), prove_network)


@pytest.mark.parametrize("number", range(1, GPU_CALLS + 1))
def test_whichever_call_fails_the_proof_of_gpus_leaves_nothing(number: int) -> None:
    cluster = fresh()
    broken(cluster, number)
    with contextlib.suppress(GroundworkError):
        prove(cluster)
    assert (cluster.objects, cluster.held) == ({}, {})


@pytest.mark.parametrize("number", range(1, NETWORK_CALLS + 1))
def test_whichever_call_fails_the_proof_of_the_network_leaves_nothing(number: int) -> None:
    cluster = Network("n1", "n2")
    broken(cluster, number)
    with contextlib.suppress(GroundworkError):
        prove_network(cluster)
    assert cluster.objects == {}
