"""What kubectl and Helm are asked, and what is made of their answers."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from ansible.module_utils.groundwork.command import Output
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu_operator.kubectl import Kubectl
from ansible.module_utils.groundwork.gpu_operator.model import Pod, Release, Thing

from tests.unit.module_utils.fakes import Answer, Commands

ACCESS = "--kubeconfig=/var/snap/microk8s/current/credentials/client.config"
KUBECTL = f"/snap/microk8s/current/kubectl {ACCESS}"
HELM = f"/snap/microk8s/current/bin/helm {ACCESS}"
RELEASE = Release("gpu-operator-resources", "gpu-operator", "gpu-operator-v25.10.0")
POLICY = Thing("clusterpolicy.nvidia.com", "cluster-policy")
POD = Pod("default", "train-0", "n2", "", "1f0e8bd5")
# helm list --all-namespaces --all --output=json, as Helm 3 prints it
LISTED = (
    '[{"name":"gpu-operator","namespace":"gpu-operator-resources","revision":"1",'
    '"updated":"2026-05-20 08:57:38.1 +0200 CEST","status":"deployed","chart":"gpu-operator-v25.10.0",'
    '"app_version":"v25.10.0"},{"name":"network-operator","namespace":"nvidia-network-operator","revision":"1",'
    '"updated":"2026-05-20 08:58:38.1 +0200 CEST","status":"deployed","chart":"network-operator-25.7.0",'
    '"app_version":"v25.7.0"}]'
)


def asked(answer: Answer, what: Callable[[Kubectl], object], by: str = KUBECTL) -> tuple[object, str]:
    """What comes out, and the command that was run, without program and access."""
    commands = Commands({by: answer})
    found = what(Kubectl(run=commands))
    return found, commands.asked[0].removeprefix(f"{by} ")


def test_objects_of_several_kinds_are_one_question() -> None:
    found, line = asked(Output(0, json.dumps({"items": [{"kind": "Pod"}]})), lambda it: it.objects("pods", "nodes"))
    assert found == [{"kind": "Pod"}]
    assert line == "get pods,nodes --all-namespaces --output=json --ignore-not-found"


def test_no_objects_are_no_text() -> None:
    assert asked(Output(0, ""), lambda it: it.objects("pods"))[0] == []


def test_releases_are_those_of_the_operators_chart() -> None:
    found, line = asked(Output(0, LISTED), lambda it: it.releases(), HELM)
    assert found == [RELEASE]
    assert "--all-namespaces --all " in line


@pytest.mark.parametrize(
    ("said", "values"), [("null\n", {}), ('{"driver":{"enabled":"false"}}', {"driver": {"enabled": "false"}})]
)
def test_values_may_be_none(said: str, values: object) -> None:
    assert asked(Output(0, said), lambda it: it.values(RELEASE), HELM)[0] == values


def test_a_release_goes_without_its_hooks() -> None:
    _, line = asked(Output(0), lambda it: it.uninstall(RELEASE, 300), HELM)
    assert line == "uninstall gpu-operator --namespace=gpu-operator-resources --no-hooks --timeout=300s"


GONE = "Error: uninstall: Release not loaded: gpu-operator: release: not found"


def test_a_release_that_is_gone_is_fine() -> None:
    asked(Output(1, "", GONE), lambda it: it.uninstall(RELEASE, 300), HELM)


@pytest.mark.parametrize(
    ("answer", "gone"),
    [
        (Output(0), True),
        (Output(1, "", "error: timed out waiting for the condition on clusterpolicies/cluster-policy"), False),
    ],
)
def test_an_object_is_gone_or_not_in_time(answer: Output, gone: bool) -> None:
    found, line = asked(answer, lambda it: it.delete(POLICY, 300.5))
    assert (found, line) == (gone, "delete clusterpolicy.nvidia.com cluster-policy --ignore-not-found --timeout=300s")


def test_a_change_is_a_merge() -> None:
    _, line = asked(Output(0), lambda it: it.change(Thing("pod", "a", "ns"), {"metadata": {"finalizers": None}}))
    assert line == 'patch pod a --namespace=ns --type=merge --patch={"metadata": {"finalizers": null}}'


NOT_FOUND = Output(1, "", 'Error from server (NotFound): pods "train-0" not found')
CONFLICT = Output(1, "", "Error from server (Conflict): the UID in the precondition does not match the UID in record")
BUDGET = "Error from server (TooManyRequests): Cannot evict pod as it would violate the pod's disruption budget."


def test_a_change_of_what_is_gone_is_fine() -> None:
    asked(NOT_FOUND, lambda it: it.change(POLICY, {}))


@pytest.mark.parametrize(
    ("answer", "refusal"), [(Output(0), ""), (NOT_FOUND, ""), (CONFLICT, ""), (Output(1, "", f"{BUDGET}\n"), BUDGET)]
)
def test_an_eviction_may_be_refused_for_now(answer: Output, refusal: str) -> None:
    found, line = asked(answer, lambda it: it.evict(POD))
    assert found == refusal
    assert line.startswith("create --raw /api/v1/namespaces/default/pods/train-0/eviction -f /")


@pytest.mark.parametrize(
    ("taint", "answer", "line"),
    [
        ("groundwork/adopt=:NoSchedule", Output(0), "taint node n2 groundwork/adopt=:NoSchedule --overwrite"),
        ("groundwork/adopt-", Output(0), "taint node n2 groundwork/adopt-"),
        (
            "groundwork/adopt-",
            Output(1, "", 'error: taint "groundwork/adopt" not found'),
            "taint node n2 groundwork/adopt-",
        ),
    ],
)
def test_taints(taint: str, answer: Output, line: str) -> None:
    assert asked(answer, lambda it: it.taint("n2", taint))[1] == line


@pytest.mark.parametrize(
    "what",
    [
        lambda it: it.objects("pods"),
        lambda it: it.delete(POLICY, 1),
        lambda it: it.change(POLICY, {}),
        lambda it: it.taint("n2", "groundwork/adopt-"),
    ],
)
def test_what_is_refused_is_told(what: Callable[[Kubectl], object]) -> None:
    with pytest.raises(GroundworkError, match="Unable to connect to the server"):
        asked(Output(1, "", "Unable to connect to the server: EOF"), what)


@pytest.mark.parametrize("what", [lambda it: it.releases(), lambda it: it.uninstall(RELEASE, 1)])
def test_what_helm_refuses_is_told(what: Callable[[Kubectl], object]) -> None:
    with pytest.raises(GroundworkError, match="Kubernetes cluster unreachable"):
        asked(Output(1, "", "Error: Kubernetes cluster unreachable"), what, HELM)
