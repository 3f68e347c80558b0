"""GPUs as Kubernetes sees them, proved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from ansible.module_utils.groundwork.check import Check
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes import gpus, proof
from ansible.module_utils.groundwork.kubernetes.cluster import Object
from ansible.module_utils.groundwork.kubernetes.gpus import Node, Sight, Wanted
from ansible.module_utils.groundwork.kubernetes.proof import PodState

from tests.unit.module_utils.fakes import waiter
from tests.unit.module_utils.kubernetes.fake_cluster import INSUFFICIENT, RESOURCE, FakeCluster, user_pod

TWO = {"n2": ["GPU-a", "GPU-b"], "n3": ["GPU-c", "GPU-d"]}


def wanted(nodes: dict[str, list[str]] | None = None, **options: Any) -> Wanted:
    listed = {name: {RESOURCE: uuids} for name, uuids in (nodes or TWO).items()}
    return Wanted(listed, "docker.io/library/python:3.11", **options)


def compare(cluster: FakeCluster, proving: Wanted | None = None) -> Check:
    (found,) = gpus.compare(cluster, proving or wanted())
    assert not any(line.startswith(("create", "delete")) for line in cluster.log)
    return found


def verify(cluster: FakeCluster, proving: Wanted | None = None) -> dict[str, Check]:
    proving = proving or wanted()
    found = [*gpus.compare(cluster, proving), *gpus.prove(cluster, proving, waiter())]
    assert [check.name for check in found] == ["kubernetes_gpu.allocatable_equals_nvml", *gpus.PROVED]
    return {check.name.split(".")[1]: check for check in found}


def copy(nodes: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: list(uuids) for name, uuids in nodes.items()}


def test_a_healthy_cluster_passes_and_nothing_is_left() -> None:
    cluster = FakeCluster(copy(TWO))
    found = verify(cluster)
    assert {check.status for check in found.values()} == {"ok"}
    assert found["allocatable_equals_nvml"].observed == (
        "n2: 2 allocatable of 2, NVML sees 2; n3: 2 allocatable of 2, NVML sees 2"
    )
    assert found["pods_see_their_gpu"].observed == "n2: 2 pods, 2 GPUs, n3: 2 pods, 2 GPUs"
    assert found["one_more_waits"].observed == f"n2: {INSUFFICIENT}; n3: {INSUFFICIENT}"
    assert cluster.objects == {}


def test_all_pods_hold_their_gpus_at_once() -> None:
    """One after the other would prove that a single GPU works."""
    cluster = FakeCluster(copy(TWO))
    held: list[int] = []
    inner = cluster.answer

    def answer(pod: str, words: Sequence[str]) -> Object:
        held.append(len(cluster.held))
        return inner(pod, words)

    cluster.answer = answer
    verify(cluster)
    assert held == [4, 4, 4, 4]


def test_the_state_alone_costs_no_pods() -> None:
    assert compare(FakeCluster(copy(TWO))).status == "ok"


def test_gpus_in_use_are_named_and_not_waited_for() -> None:
    cluster = FakeCluster(copy(TWO), [user_pod("n2")])
    found = verify(cluster)
    assert found["all_gpus_could_be_proved"].status == "skipped"
    assert found["all_gpus_could_be_proved"].observed == "in use, so not proved: n2: 1 by default/train-0"
    assert found["pods_see_their_gpu"] == Check(
        "kubernetes_gpu.pods_see_their_gpu",
        "ok",
        "n2: 1 pods, 1 GPUs, n3: 2 pods, 2 GPUs",
        found["pods_see_their_gpu"].wanted,
    )
    assert found["one_more_waits"].status == "ok"


def test_a_full_cluster_proves_that_one_more_waits() -> None:
    cluster = FakeCluster(copy(TWO), [user_pod("n2", count=2), user_pod("n3", "train-1", 2)])
    found = verify(cluster)
    assert found["pods_see_their_gpu"].status == "ok"
    assert found["one_more_waits"].observed == f"n2: {INSUFFICIENT}; n3: {INSUFFICIENT}"


def test_a_gpu_taken_meanwhile_is_nobodys_fault_and_not_waited_for() -> None:
    cluster = FakeCluster(copy(TWO))

    def take(made: Object) -> None:
        if made["kind"] == "Pod" and not cluster.users:
            cluster.users.append(user_pod("n2", "quick-0"))

    cluster.on_create = take
    found = verify(cluster)
    assert found["pods_see_their_gpu"].status == "ok"
    assert found["pods_see_their_gpu"].observed == "n2: 1 pods, 1 GPUs, n3: 2 pods, 2 GPUs"


@pytest.mark.parametrize(
    ("allocatable", "capacity", "observed"),
    [
        ({"n2": 1, "n3": 2}, {"n2": 2, "n3": 2}, "n2: 1 allocatable of 2, NVML sees 2"),
        ({"n2": 0, "n3": 2}, {"n2": 0, "n3": 2}, "n2: 0 allocatable of 0, NVML sees 2"),
        (
            {"n2": 8, "n3": 8},
            {"n2": 8, "n3": 8},
            "n2: 8 allocatable of 8, NVML sees 2; n3: 8 allocatable of 8, NVML sees 2",
        ),
    ],
)
def test_allocatable_must_equal_what_nvml_sees(
    allocatable: dict[str, int], capacity: dict[str, int], observed: str
) -> None:
    cluster = FakeCluster(copy(TWO))
    cluster.allocatable, cluster.capacity = allocatable, capacity
    found = compare(cluster)
    assert (found.status, found.observed) == ("failed", observed)
    assert "device plugin" in found.remedy


def test_a_node_that_kubernetes_does_not_know_offers_nothing() -> None:
    found = compare(FakeCluster(copy(TWO)), wanted({"n9": ["GPU-x"]}))
    assert found.observed == "n9: 0 allocatable of 0, NVML sees 1"


@pytest.mark.parametrize(
    ("answer", "observed"),
    [
        ({"error": "NVMLError_LibraryNotFound: NVML Shared Library Not Found"}, "NVML Shared Library Not Found"),
        ({"gpus": []}, "gpu-n2-0 sees 0 GPUs"),
        ({"gpus": [{"uuid": "GPU-a"}, {"uuid": "GPU-b"}]}, "gpu-n2-0 sees 2 GPUs"),
        ({"gpus": [{"uuid": "GPU-a"}]}, "GPU-a is seen by 2 pods of n2"),
        ({"gpus": [{"uuid": "GPU-z"}]}, "GPU-z, seen on n2, is none of NVML's list"),
    ],
)
def test_what_pods_see_is_judged(answer: Object, observed: str) -> None:
    cluster = FakeCluster(copy(TWO))
    cluster.answer = lambda _pod, _words: answer
    found = verify(cluster)["pods_see_their_gpu"]
    assert found.status == "failed"
    assert observed in found.observed
    assert "CDI" in found.remedy


def test_a_pod_that_does_not_run_says_why() -> None:
    cluster = FakeCluster(copy(TWO), ready=False)
    found = verify(cluster)["pods_see_their_gpu"]
    assert found.status == "failed"
    assert "gpu-n2-0: Pending after the time given" in found.observed
    assert cluster.objects == {}


def test_one_more_that_runs_is_a_fault() -> None:
    cluster = FakeCluster({"n2": ["GPU-a", "GPU-b", "GPU-hidden"]})
    cluster.allocatable = {"n2": 2}
    found = verify(cluster, wanted({"n2": ["GPU-a", "GPU-b"]}))["one_more_waits"]
    assert (found.status, found.observed) == ("failed", "one-more-n2 is Running")


def test_without_gpus_nothing_can_wait() -> None:
    found = verify(FakeCluster({"n1": []}), wanted({"n1": []}))
    assert (found["one_more_waits"].status, found["pods_see_their_gpu"].status) == ("skipped", "ok")


def test_a_runtime_class_is_asked_for_where_one_is_wanted() -> None:
    cluster = FakeCluster(copy(TWO))
    classes: list[str | None] = []
    cluster.on_create = (
        lambda made: classes.append(made["spec"].get("runtimeClassName")) if made["kind"] == "Pod" else None
    )
    verify(cluster, wanted(runtime_class="nvidia"))
    assert set(classes) == {"nvidia"}


def test_pods_of_a_run_that_was_killed_are_not_counted_as_users() -> None:
    cluster = FakeCluster(copy(TWO))
    namespace = {"name": "groundwork-verify", "labels": {"app.kubernetes.io/managed-by": "groundwork"}}
    cluster.objects["/api/v1/namespaces/groundwork-verify"] = {"kind": "Namespace", "metadata": namespace}
    left = proof.pod("gpu-n2-0", "n2", "image", ["sleep"], {RESOURCE: "1"})
    cluster.create("/api/v1/namespaces/groundwork-verify/pods", left)
    found = verify(cluster)
    assert found["all_gpus_could_be_proved"].status == "ok"
    assert found["pods_see_their_gpu"].status == "ok"


def test_a_failing_server_still_leaves_nothing() -> None:
    cluster = FakeCluster(copy(TWO))

    def refuse(made: Object) -> None:
        if made["kind"] == "Pod":
            raise GroundworkError("refused", "See.")

    cluster.on_create = refuse
    with pytest.raises(GroundworkError, match="refused"):
        verify(cluster)
    assert cluster.objects == {}


def containers(*counts: int, always: bool = False) -> list[Object]:
    found: list[Object] = [{"resources": {"limits": {RESOURCE: str(count)}}} if count else {} for count in counts]
    return [{**one, "restartPolicy": "Always"} for one in found] if always else found


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        ({"containers": containers(0)}, 0),
        ({"containers": containers(1)}, 1),
        ({"containers": containers(1, 2, 0)}, 3),
        ({"containers": containers(1), "initContainers": containers(4)}, 4),
        ({"containers": containers(2), "initContainers": containers(1, 1)}, 2),
        ({"containers": containers(1), "initContainers": containers(1, always=True)}, 2),
    ],
)
def test_what_a_pod_holds(spec: Object, count: int) -> None:
    assert gpus.requested({"spec": spec}, RESOURCE) == count


def test_another_resource_is_another_matter() -> None:
    pod = {"spec": {"containers": [{"resources": {"limits": {"nvidia.com/mig-1g.10gb": "1"}}}]}}
    assert gpus.requested(pod, RESOURCE) == 0
    assert gpus.requested(pod, "nvidia.com/mig-1g.10gb") == 1


@pytest.mark.parametrize(
    ("node", "free"),
    [
        (Node("n2", 2, 2, {}), 2),
        (Node("n2", 2, 2, {"default/a": 1}), 1),
        (Node("n2", 2, 1, {"default/a": 1, "default/b": 1}), 0),
    ],
)
def test_free_gpus(node: Node, free: int) -> None:
    assert node.free == free


def test_gpus_that_nobody_got_are_named() -> None:
    pod = PodState("gpu-n2-0", "n2", "Running", ready=True)
    found = gpus.pods_see_their_gpu(
        [Sight(pod, ("GPU-a",))], [Node("n2", 1, 1, {})], wanted({"n2": ["GPU-a", "GPU-b"]})
    )
    assert (found.status, found.observed) == ("failed", "n2: no pod got GPU-b")


SMALL, LARGE = "nvidia.com/mig-1g.10gb", "nvidia.com/mig-3g.40gb"
CUT = {"n2": {RESOURCE: ["GPU-a"], SMALL: ["MIG-a", "MIG-b"], LARGE: ["MIG-c"]}, "n3": {RESOURCE: [], SMALL: ["MIG-d"]}}


@pytest.fixture
def partitioned() -> FakeCluster:
    """One GPU of n2 whole, the others cut."""
    cluster = FakeCluster({"n2": ["GPU-a"], "n3": []})
    cluster.mig = {name: {key: list(CUT[name][key]) for key in CUT[name] if key != RESOURCE} for name in CUT}
    return cluster


def cut(nodes: dict[str, dict[str, list[str]]] = CUT) -> Wanted:
    return Wanted(nodes, "docker.io/groundwork/verify:1")


def test_mig_devices_are_proved_beside_whole_gpus_each_kind_by_itself(partitioned: FakeCluster) -> None:
    found = verify(partitioned, cut())
    assert {check.status for check in found.values()} == {"ok"}
    assert found["allocatable_equals_nvml"].observed == (
        f"n2: 1 allocatable of 1, NVML sees 1; n2 {SMALL}: 2 allocatable of 2, NVML sees 2; "
        f"n2 {LARGE}: 1 allocatable of 1, NVML sees 1; n3 {SMALL}: 1 allocatable of 1, NVML sees 1"
    )
    assert found["pods_see_their_gpu"].observed == (
        f"n2: 1 pods, 1 GPUs, n2 {SMALL}: 2 pods, 2 GPUs, n2 {LARGE}: 1 pods, 1 GPUs, n3 {SMALL}: 1 pods, 1 GPUs"
    )
    made = [line.rsplit("/", 1)[1] for line in partitioned.log if line.startswith("create") and "/pods/" in line]
    assert made == [
        "gpu-n2-0", "gpu-mig-1g-10gb-n2-0", "gpu-mig-1g-10gb-n2-1", "gpu-mig-3g-40gb-n2-0", "gpu-mig-1g-10gb-n3-0",
        "one-more-n2", "one-more-mig-1g-10gb-n2", "one-more-mig-3g-40gb-n2", "one-more-mig-1g-10gb-n3",
    ]  # fmt: skip


def test_a_mig_device_in_use_is_named_with_its_kind(partitioned: FakeCluster) -> None:
    partitioned.users.append(user_pod("n2", resource=LARGE))
    found = verify(partitioned, cut())
    assert found["all_gpus_could_be_proved"].observed == f"in use, so not proved: n2 {LARGE}: 1 by default/train-0"
    assert found["pods_see_their_gpu"].status == "ok"


def test_a_plugin_that_has_not_seen_the_new_layout_is_found_out(partitioned: FakeCluster) -> None:
    """It still offers what is gone, and not what there is."""
    found = compare(partitioned, cut({"n2": {RESOURCE: ["GPU-a"], LARGE: ["MIG-c", "MIG-e"]}, "n3": CUT["n3"]}))
    assert (found.status, "look again" in found.remedy) == ("failed", True)
    assert found.observed == (
        f"n2 {SMALL}: 2 allocatable of 2, NVML sees 0; n2 {LARGE}: 1 allocatable of 1, NVML sees 2"
    )


def test_a_pod_with_a_device_of_another_kind_is_a_fault(partitioned: FakeCluster) -> None:
    partitioned.answer = lambda pod, _words: {"gpus": [{"uuid": "MIG-a" if "3g" in pod else partitioned.held[pod]}]}
    found = verify(partitioned, cut())["pods_see_their_gpu"]
    assert (found.status, found.observed) == ("failed", f"MIG-a, seen on n2 {LARGE}, is none of NVML's list")


SHARED = "nvidia.com/gpu.shared"
EIGHT = ["GPU-a"] * 4 + ["GPU-b"] * 4


@pytest.fixture
def sharing() -> FakeCluster:
    """Two GPUs of n2, each offered four times by another name, one of n3 whole."""
    cluster = FakeCluster({"n2": [], "n3": ["GPU-c"]})
    cluster.mig = {"n2": {SHARED: list(EIGHT)}}
    return cluster


def shared() -> Wanted:
    return cut({"n2": {RESOURCE: [], SHARED: EIGHT}, "n3": {RESOURCE: ["GPU-c"]}})


def test_shares_are_proved_by_two_pods_on_each_device_and_are_no_more_gpus(sharing: FakeCluster) -> None:
    found = verify(sharing, shared())
    assert {check.status for check in found.values()} == {"ok"}
    assert found["allocatable_equals_nvml"].observed == (
        f"n2 {SHARED}: 8 allocatable of 8, NVML sees 2, each shared by 4; n3: 1 allocatable of 1, NVML sees 1"
    )
    assert found["pods_see_their_gpu"].observed == f"n2 {SHARED}: 4 pods, 2 GPUs, n3: 1 pods, 1 GPUs"


def test_one_more_asks_for_more_than_all_shares_that_are_left(sharing: FakeCluster) -> None:
    limits: dict[str, str] = {}

    def note(made: Object) -> None:
        if made["metadata"]["name"].startswith("one-more"):
            limits.update(made["spec"]["containers"][0]["resources"]["limits"])

    sharing.on_create = note
    sharing.users.append(user_pod("n2", resource=SHARED))
    found = verify(sharing, shared())
    assert limits[SHARED] == "4"  # of 8 shares one is in use, four are proved, three are left
    assert (found["one_more_waits"].status, found["pods_see_their_gpu"].status) == ("ok", "ok")


def test_replicas_that_are_not_offered_are_missed(sharing: FakeCluster) -> None:
    sharing.mig["n2"][SHARED] = ["GPU-a", "GPU-b"]
    found = compare(sharing, shared())
    assert (found.status, found.observed) == (
        "failed",
        f"n2 {SHARED}: 2 allocatable of 2, NVML sees 2, each shared by 4",
    )


def test_shares_that_nobody_wants_any_more_are_found_out(sharing: FakeCluster) -> None:
    found = compare(sharing, cut({"n2": {RESOURCE: []}, "n3": {RESOURCE: ["GPU-c"]}}))
    assert (found.status, found.observed) == ("failed", f"n2 {SHARED}: 8 allocatable of 8, NVML sees 0")


@pytest.mark.parametrize(
    ("uuids", "observed"),
    [
        (["GPU-a"], "n2 nvidia.com/gpu.shared: no pod got GPU-b"),
        (["GPU-c"], "GPU-c, seen on n2 nvidia.com/gpu.shared, is none of NVML's list"),
    ],
)
def test_what_pods_with_shares_see_is_judged(sharing: FakeCluster, uuids: list[str], observed: str) -> None:
    sharing.answer = lambda _pod, _words: {"gpus": [{"uuid": uuid} for uuid in uuids]}
    found = verify(sharing, shared())["pods_see_their_gpu"]
    assert found.status == "failed"
    assert observed in found.observed


def test_more_pods_on_a_device_than_may_share_it_are_a_fault() -> None:
    node = Node("n2", 2, 2, {}, SHARED)
    sights = [
        Sight(PodState(f"gpu-{number}", "n2", "Running", ready=True), ("GPU-a",), resource=SHARED)
        for number in range(3)
    ]
    found = gpus.pods_see_their_gpu(sights, [node], cut({"n2": {SHARED: ["GPU-a", "GPU-a"]}}))
    assert (found.status, found.observed) == ("failed", f"GPU-a is seen by 3 pods of n2 {SHARED}")


def test_a_silent_scheduler_is_a_fault() -> None:
    pods = [PodState("one-more-n2", "n2", "Pending")]
    found = gpus.one_more_waits(pods, in_time=False)
    assert (found.status, found.observed) == ("failed", "one-more-n2 is Pending")


@pytest.mark.parametrize(
    ("users", "count", "found"),
    [
        ([], 2, True),
        ([], 3, False),
        ([user_pod("n2"), user_pod("n3", "train-1")], 1, True),
        ([user_pod("n2"), user_pod("n3", "train-1")], 2, False),
        ([user_pod("n2", count=2), user_pod("n3", "train-1", 2)], 1, False),
        ([user_pod("n2", count=2), user_pod("n3", "train-1", 2)], 0, True),
        ([user_pod("n2", "ray-workers-a", 2), user_pod("n3", "train-1", 2)], 2, True),
    ],
)
def test_there_is_room_where_one_node_has_enough(users: list[Object], count: int, found: bool) -> None:
    cluster = FakeCluster(copy(TWO), users)
    assert gpus.room(cluster, RESOURCE, count, "default/ray-workers-") is found


def test_room_is_of_one_resource() -> None:
    cluster = FakeCluster(copy(TWO))
    cluster.mig = {"n2": {"nvidia.com/mig-1g.10gb": ["MIG-a"]}}
    assert gpus.room(cluster, "nvidia.com/mig-1g.10gb", 1)
    assert not gpus.room(cluster, "nvidia.com/mig-1g.10gb", 2)
    assert not gpus.room(cluster, "nvidia.com/mig-3g.40gb", 1)
