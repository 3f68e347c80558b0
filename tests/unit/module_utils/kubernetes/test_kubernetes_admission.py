"""Pods with GPUs that a kubelet turned away."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.groundwork.kubernetes import admission
from ansible.module_utils.groundwork.kubernetes.cluster import Object

from tests.unit.module_utils.kubernetes.fake_cluster import user_pod

# In the words of pkg/kubelet/cm/devicemanager/manager.go, for a pod that was there before the device plugin.
MESSAGE = (
    "Pod was rejected: Allocate failed due to no healthy devices present; cannot allocate unhealthy devices"
    " nvidia.com/gpu, which is unexpected"
)


def refused(node: str, name: str, created: str = "2026-11-21T09:20:00Z", **status: Any) -> Object:
    pod = user_pod(node, name, phase="Failed")
    pod["metadata"]["creationTimestamp"] = created
    pod["status"] |= {"reason": "UnexpectedAdmissionError", "message": MESSAGE, **status}
    return pod


def test_pods_that_were_turned_away_are_counted_by_node_with_the_last_reason() -> None:
    pods = [refused("n2", f"train-{number}") for number in range(4)]
    pods.append(refused("n3", "serve-0", "2026-11-21T09:25:00Z", message="another reason"))
    verdict = admission.judge(pods)
    assert (verdict.name, verdict.status) == ("kubernetes_gpu.pods_are_admitted", "warning")
    assert verdict.observed == (
        "n2: 4, n3: 1 (default/serve-0, default/train-0, default/train-1 and 2 more),"
        " the last one since: another reason"
    )
    assert "kubectl delete pod" in verdict.remedy


@pytest.mark.parametrize(
    "pod",
    [
        refused("n2", "evicted", reason="Evicted"),
        {**refused("n2", "cpu"), "spec": {"nodeName": "n2", "containers": [{"resources": {"limits": {"cpu": "1"}}}]}},
        {**refused("n2", "bare"), "spec": {"nodeName": "n2", "containers": [{}]}},
    ],
)
def test_other_failures_are_others_business(pod: Object) -> None:
    assert admission.judge([pod]).status == "ok"


def test_only_nodes_with_gpus_are_asked_for() -> None:
    class Asked:
        def get(self, path: str, **query: str) -> Object:
            assert (path, query) == ("/api/v1/pods", {"fieldSelector": "status.phase=Failed"})
            return {"items": [refused("n2", "train-0"), refused("n9", "elsewhere")]}

    [verdict] = admission.turned_away(Asked(), ["n2"])  # type: ignore[arg-type]
    assert "n9" not in verdict.observed
    assert "n2: 1" in verdict.observed
