"""What proofs share: the namespace that goes, and pods that anybody may run."""

from __future__ import annotations

import importlib.util
import signal
from typing import Any

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes import proof
from ansible.module_utils.groundwork.kubernetes.proof import PodState

from tests.unit.module_utils.fakes import waiter
from tests.unit.module_utils.kubernetes.fake_cluster import FakeCluster, refused

NAMESPACE = "/api/v1/namespaces/proof"
OURS = {"kind": "Namespace", "metadata": {"name": "proof", "labels": {"app.kubernetes.io/managed-by": "groundwork"}}}


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster({"n1": []})


def test_it_is_there_within_and_gone_after(cluster: FakeCluster) -> None:
    with proof.namespace(cluster, "proof", waiter()):
        (made,) = cluster.made("Namespace")
        assert made["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        assert made["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "groundwork"
        (priority,) = cluster.made("PriorityClass")
        assert (priority["value"], priority["preemptionPolicy"]) == (-(2**31), "Never")
    assert cluster.objects == {}


def test_it_goes_after_a_failure(cluster: FakeCluster) -> None:
    with pytest.raises(KeyError), proof.namespace(cluster, "proof", waiter()):
        raise KeyError
    assert cluster.objects == {}


@pytest.mark.parametrize("number", proof.ENDING)
def test_it_goes_when_interrupted(cluster: FakeCluster, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with (
        pytest.raises(GroundworkError, match=f"Interrupted by {number.name}"),
        proof.namespace(cluster, "proof", waiter()),
    ):
        signal.raise_signal(number)
    assert cluster.objects == {}
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", proof.ENDING)
def test_cleaning_itself_is_not_interrupted(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    delete = cluster.delete

    def interrupted(path: str) -> None:
        if cluster.made("Namespace"):
            signal.raise_signal(number)
        delete(path)

    monkeypatch.setattr(cluster, "delete", interrupted)
    with proof.namespace(cluster, "proof", waiter()):
        pass
    assert cluster.objects == {}


def test_a_server_that_is_away_for_a_moment_does_not_stop_the_cleaning(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete, tries = cluster.delete, [0]

    def away(path: str) -> None:
        tries[0] += 1
        if tries[0] in (3, 4, 5):
            raise refused(0)
        delete(path)

    monkeypatch.setattr(cluster, "delete", away)
    with proof.namespace(cluster, "proof", waiter()):
        pass
    assert cluster.objects == {}


def test_leftovers_of_an_earlier_run_go_first(cluster: FakeCluster) -> None:
    cluster.objects = {NAMESPACE: OURS, f"{NAMESPACE}/pods/old": {"kind": "Pod", "metadata": {"name": "old"}}}
    with proof.namespace(cluster, "proof", waiter()):
        assert cluster.pods() == []
    assert cluster.log.index(f"delete {NAMESPACE}") < cluster.log.index(f"create {NAMESPACE}")


def test_somebody_elses_namespace_is_not_touched(cluster: FakeCluster) -> None:
    theirs = {"kind": "Namespace", "metadata": {"name": "proof"}}
    cluster.objects[NAMESPACE] = theirs
    with pytest.raises(GroundworkError, match="not Groundwork's"), proof.namespace(cluster, "proof", waiter()):
        pytest.fail("it began")
    assert cluster.objects[NAMESPACE] == theirs
    assert not any(line.startswith("delete") for line in cluster.log)


def test_a_namespace_that_does_not_end_is_told(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.objects[NAMESPACE] = OURS
    monkeypatch.setattr(cluster, "delete", lambda _path: None)
    with pytest.raises(GroundworkError, match="does not end") as raised, proof.namespace(cluster, "proof", waiter()):
        pytest.fail("it began")
    assert "kubectl get --raw /api/v1/namespaces/proof" in raised.value.remedy


def test_a_cluster_without_service_accounts_is_told(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    get = cluster.get

    def without(path: str, **query: str) -> Any:
        if path.endswith("serviceaccounts/default"):
            raise refused(404)
        return get(path, **query)

    monkeypatch.setattr(cluster, "get", without)
    with pytest.raises(GroundworkError, match="no service account"), proof.namespace(cluster, "proof", waiter()):
        pytest.fail("it began")
    assert cluster.objects == {}


def test_a_server_that_refuses_is_not_taken_for_absence(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def get(_path: str, **_query: str) -> Any:
        raise refused(403)

    monkeypatch.setattr(cluster, "get", get)
    with pytest.raises(GroundworkError, match="refused with 403"), proof.namespace(cluster, "proof", waiter()):
        pytest.fail("it began")


def test_pods_meet_the_restricted_standard() -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, one assertion a row."""
    spec = proof.pod("p", "n1", "image", ["sleep"], {"nvidia.com/gpu": "1"})["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] != 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert [set(volume) - {"name"} for volume in spec["volumes"]] == [{"configMap"}]
    assert "privileged" not in container["securityContext"]


def test_pods_hold_no_token_and_never_come_back() -> None:
    spec = proof.pod("p", "n1", "image", ["sleep"])["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["restartPolicy"] == "Never"
    assert spec["priorityClassName"] == proof.PRIORITY_CLASS


def test_the_scheduler_places_them() -> None:
    made = proof.pod("p", "n1", "image", ["gpus"], {"nvidia.com/gpu": "1"})
    assert "nodeName" not in made["spec"]
    assert made["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] == {
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]
    }
    assert made["spec"]["containers"][0]["command"] == ["python3", "/opt/groundwork/program.py", "gpus"]
    assert made["spec"]["containers"][0]["volumeMounts"][0]["name"] == made["spec"]["volumes"][0]["name"]
    assert made["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


def found(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "annotations": {"groundwork/node": "n1"}}, "status": status}


UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
WAITING = {"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
CREATING = {"state": {"waiting": {"reason": "ContainerCreating"}}}
RUNNING = {"state": {"running": {"startedAt": "2026-11-21T11:00:00Z"}}}
ENDED = {"state": {"terminated": {"reason": "Error", "exitCode": 1}}}


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ({}, PodState("p", "n1", "Pending")),
        (
            {"phase": "Pending", "conditions": [UNSCHEDULABLE]},
            PodState("p", "n1", "Pending", unschedulable=True, problem="0/3 nodes are available"),
        ),
        (
            {"phase": "Pending", "containerStatuses": [WAITING]},
            PodState("p", "n1", "Pending", problem="ErrImagePull: not found"),
        ),
        (
            {"phase": "Pending", "containerStatuses": [CREATING]},
            PodState("p", "n1", "Pending", problem="ContainerCreating"),
        ),
        (
            {
                "phase": "Running",
                "podIP": "10.1.0.7",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [RUNNING],
            },
            PodState("p", "n1", "Running", ready=True, address="10.1.0.7"),
        ),
        (
            {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "Allocate failed"},
            PodState("p", "n1", "Failed", problem="UnexpectedAdmissionError: Allocate failed"),
        ),
        ({"phase": "Failed", "containerStatuses": [ENDED]}, PodState("p", "n1", "Failed", problem="Error")),
    ],
)
def test_where_a_pod_stands(status: dict[str, Any], wanted: PodState) -> None:
    assert proof.state(found(**status)) == wanted


@pytest.mark.parametrize(
    ("state", "settled"),
    [
        (PodState("p", "n1", "Pending"), False),
        (PodState("p", "n1", "Running"), False),
        (PodState("p", "n1", "Running", ready=True), True),
        (PodState("p", "n1", "Failed"), True),
        (PodState("p", "n1", "Succeeded"), True),
    ],
)
def test_when_waiting_is_over(state: PodState, settled: bool) -> None:
    assert state.settled is settled


def test_pods_get_our_program_and_nvidias_binding_out_of_a_config_map() -> None:
    cluster = FakeCluster({})
    with proof.namespace(cluster, "proof", waiter()):
        (found,) = cluster.made("ConfigMap")
    assert set(found["data"]) == {"program.py", "pynvml.py"}
    assert "def nvmlInit" in found["data"]["pynvml.py"]
    assert sum(map(len, found["data"].values())) < 1 << 20, "an object of Kubernetes has at most 1 MiB"
    assert (
        found["metadata"]["name"] == proof.pod("a", "n1", "image", ["gpus"])["spec"]["volumes"][0]["configMap"]["name"]
    )


def test_the_program_stands_alone() -> None:
    """In a pod there is nothing of ours beside it."""
    assert "ansible" not in proof.programs()["program.py"]


def test_without_nvidias_binding_pods_get_the_program_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pynvml" else find(name))
    assert set(proof.programs()) == {"program.py"}
