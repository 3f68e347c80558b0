"""Pods with GPUs that a kubelet turned away after the scheduler had given them the node.

A device plugin without a healthy device, or one lost GPU among several, makes the kubelet refuse pod after pod of a
node that is Ready all the same; a controller makes new ones as fast, and hundreds of failed pods lie about. A reboot
leaves a few, too: pods that were on the node before the plugin had told its GPUs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from ansible.module_utils.groundwork.check import Check, ok, warning
from ansible.module_utils.groundwork.kubernetes.cluster import Cluster, Object
from ansible.module_utils.groundwork.kubernetes.gpus import requested

NAME = "kubernetes_gpu.pods_are_admitted"
REASON = "UnexpectedAdmissionError"
"""pkg/kubelet/lifecycle/predicate.go of Kubernetes, for what a device manager refuses."""
SHOWN = 3


def turned_away(cluster: Cluster, nodes: Collection[str]) -> list[Check]:
    """The verdict on those nodes. Raises GroundworkError when the API server fails."""
    failed = cluster.get("/api/v1/pods", fieldSelector="status.phase=Failed")["items"]
    return [judge([pod for pod in failed if pod["spec"].get("nodeName") in nodes])]


def judge(failed: Iterable[Object]) -> Check:
    """The verdict on failed pods, by node; why, as the kubelet says it of the last one."""
    refused = [pod for pod in failed if pod["status"].get("reason") == REASON and _wants_gpus(pod)]
    if not refused:
        return ok(NAME, "no pod with a GPU was turned away", "no kubelet turns pods with GPUs away")
    counts = Counter(str(pod["spec"]["nodeName"]) for pod in refused)
    names = sorted(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in refused)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    last = max(refused, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    return warning(
        NAME,
        f"{', '.join(f'{node}: {count}' for node, count in sorted(counts.items()))} ({', '.join(names[:SHOWN])}{more}),"
        f" the last one since: {last['status'].get('message', 'no message')}",
        "no kubelet turns pods with GPUs away",
        "Delete them: kubectl delete pod -A --field-selector status.phase=Failed. Where new ones come, cordon the"
        " node, look for a lost GPU (gpu_driver.count), and run playbooks/kubernetes_gpu.yml.",
    )


def _wants_gpus(pod: Object) -> bool:
    """Whether it asks for any of NVIDIA's resources."""
    containers = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())]
    names = {name for container in containers for name in container.get("resources", {}).get("limits", {})}
    return any(name.startswith("nvidia.com/") and requested(pod, name) > 0 for name in names)
