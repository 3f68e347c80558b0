"""What of a GPU Operator is seen in a cluster, and which pods have GPUs by it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.groundwork.gpu_operator import observe
from ansible.module_utils.groundwork.gpu_operator.model import Object, State

from tests.unit.module_utils.gpu_operator.fake_operated import (
    HELM,
    OWNED,
    RELEASE,
    SPACE,
    FakeOperated,
    make,
    node,
    operated,
    pod,
)

GPU = {"limits": {"nvidia.com/gpu": "1"}}


def seen(*more: Object, objects: list[Object] | None = None) -> State:
    there = operated() if objects is None else objects
    return observe.observe(FakeOperated([*there, *more], (RELEASE,) if objects is None else ()))


def test_everything_of_the_addon_is_found() -> None:
    found = seen()
    assert found.releases == (RELEASE,)
    assert [str(one) for one in found.policies] == ["clusterpolicy.nvidia.com/cluster-policy"]
    assert found.definitions == ("clusterpolicies.nvidia.com", "nvidiadrivers.nvidia.com")
    assert [one.name for one in found.operands] == [
        "nvidia",
        "nvidia-device-plugin-daemonset",
        "nvidia-container-toolkit-daemonset",
    ]
    assert [(one.name, one.others) for one in found.namespaces] == [(SPACE, ())]
    assert (found.leftovers, found.pods, found.nodes, found.runs) == ((), (), ("n2",), True)


def test_labels_of_feature_discovery_stay() -> None:
    (marks,) = seen().marks
    assert (marks.node, marks.labels) == (
        "n2",
        (
            "nvidia.com/gpu.deploy.container-toolkit",
            "nvidia.com/gpu.deploy.driver",
            "nvidia.com/gpu.present",
            "nvidia.com/mig.config",
        ),
    )


def test_a_cluster_of_ours_has_no_trace() -> None:
    labels = {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "nvidia.com/mig.capable": "true",
        "nvidia.com/mig.strategy": "mixed",
        "nvidia.com/device-plugin.config": "shared",
    }
    ours = [
        node("n2", 2, labels),
        make("Namespace", "nvidia-device-plugin"),
        make("RuntimeClass", "nvidia"),
        make("DaemonSet", "nvidia-device-plugin", "nvidia-device-plugin"),
        make("CustomResourceDefinition", "nodefeatures.nfd.k8s-sigs.io"),
        pod("train-0"),
    ]
    assert seen(objects=ours).traces == ()


@pytest.mark.parametrize(
    "left",
    [
        make("ClusterRole", "gpu-operator-node-feature-discovery", annotations=HELM),
        make("DaemonSet", "x", labels={"helm.sh/chart": "gpu-operator-v25.10.0"}),
        make("Deployment", "gpu-operator", SPACE, labels={"app.kubernetes.io/component": "gpu-operator"}),
        make("DaemonSet", "x", labels={"app.kubernetes.io/managed-by": "gpu-operator"}),
        make("ClusterRole", "x", annotations={"meta.helm.sh/release-name": "gpu-operator-1700000000"}),
    ],
)
def test_what_an_uninstallation_left_is_found_without_its_release(left: Object) -> None:
    found = seen(objects=[left])
    assert [one.name for one in found.leftovers] == [left["metadata"]["name"]]


@pytest.mark.parametrize(
    ("spec", "has"),
    [
        ({}, True),
        ({"containers": [{"resources": {"requests": {"cpu": "1"}}}]}, False),
        ({"containers": [{"resources": {"limits": {"nvidia.com/mig-1g.10gb": 2}}}]}, True),
        ({"containers": [{"resources": {"limits": {"nvidia.com/gpu": "0"}}}]}, False),
        ({"containers": [{}], "initContainers": [{"resources": GPU}]}, True),
        ({"containers": [{}], "runtimeClassName": "nvidia-cdi"}, True),
        ({"containers": [{}], "runtimeClassName": "kata"}, False),
        ({"containers": [{"env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]}]}, True),
        ({"containers": [{"env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}]}]}, False),
        ({"containers": [{"env": [{"name": "NVIDIA_VISIBLE_DEVICES", "valueFrom": {}}]}]}, False),
        ({"containers": [{}], "resourceClaims": [{"name": "disk"}]}, False),
        ({"nodeName": ""}, False),
    ],
)
def test_which_pods_have_a_gpu(spec: dict[str, Any], has: bool) -> None:
    assert bool(seen(pod("x", **spec)).pods) is has


def test_claims_give_gpus_where_the_operator_gives_them_by_claims() -> None:
    policy = [make("CustomResourceDefinition", "gpuclusters.nvidia.com"), make("GPUCluster", "cluster")]
    assert seen(*policy, pod("x", containers=[{}], resourceClaims=[{"name": "gpu"}])).pods


def test_pods_that_ended_and_the_operators_own_are_not_in_the_way() -> None:
    ended = {**pod("ended"), "status": {"phase": "Succeeded"}}
    validator = pod("nvidia-cuda-validator-1", namespace=SPACE)
    validator["metadata"]["ownerReferences"] = OWNED
    assert seen(ended, validator).pods == ()


def test_pods_tell_whether_another_one_comes() -> None:
    found = seen(pod("alone"), pod("served", "ReplicaSet/ours"), pod("everywhere", "DaemonSet/dcgm"))
    assert [str(one) for one in found.pods] == [
        "default/alone on n2 (nothing makes another)",
        "default/everywhere on n2 (its DaemonSet makes another)",
        "default/served on n2 (its ReplicaSet makes another)",
    ]


@pytest.mark.parametrize(
    "stranger",
    [
        make("StatefulSet", "database", SPACE),
        make("Deployment", "web", SPACE),
        pod("alone", namespace=SPACE),
        pod("head", "RayCluster/mine", namespace=SPACE),
    ],
)
def test_a_namespace_with_somebody_elses_work_stays(stranger: Object) -> None:
    (space,) = seen(stranger).namespaces
    assert space.others == (f"{stranger['kind']} {stranger['metadata']['name']}",)


def test_system_namespaces_are_nobodys() -> None:
    daemonset = make("DaemonSet", "x", "kube-system", owners=OWNED)
    found = seen(daemonset, make("Namespace", "kube-system"))
    assert [one.name for one in found.namespaces] == [SPACE]


@pytest.mark.parametrize(
    ("policy", "own", "machines"),
    [
        ({"driver": {"enabled": True}}, True, False),
        ({"driver": {"enabled": False}}, False, False),
        ({"toolkit": {}}, True, False),
        ({"driver": {"enabled": False}, "sandboxWorkloads": {"enabled": True}}, False, True),
    ],
)
def test_what_the_policy_says_of_driver_and_machines(policy: Object, own: bool, machines: bool) -> None:
    objects = operated()
    next(one for one in objects if one["kind"] == "ClusterPolicy")["spec"] = policy
    found = seen(objects=objects)
    assert (found.own_driver, found.for_machines) == (own, machines)


def test_a_driver_of_its_own_kind_is_the_operators() -> None:
    assert seen(make("NVIDIADriver", "default")).own_driver


def test_what_our_roles_must_be_told_is_named() -> None:
    objects = operated()
    policy = next(one for one in objects if one["kind"] == "ClusterPolicy")
    policy["spec"] |= {"mig": {"strategy": "mixed"}, "devicePlugin": {"config": {"name": "time-slicing"}}}
    objects[1]["metadata"]["labels"]["nvidia.com/mig.config"] = "all-1g.10gb"
    told = " ".join(seen(objects=objects).settings)
    assert all(words in told for words in ("ConfigMap time-slicing", "MIG strategy mixed", "all-1g.10gb on n2"))


@pytest.mark.parametrize(
    ("marks", "by"),
    [
        ({"annotations": {"argocd.argoproj.io/tracking-id": "gpu"}}, ("Argo CD",)),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "gpu"}}, ("Flux",)),
    ],
)
def test_who_would_install_it_again_is_named(marks: dict[str, Any], by: tuple[str, ...]) -> None:
    labels = {"app.kubernetes.io/component": "gpu-operator", **marks.get("labels", {})}
    operator = make("Deployment", "gpu-operator-2", SPACE, **{**marks, "labels": labels})
    assert seen(operator).restored_by == by
