"""What proofs share: a namespace that is gone afterwards whatever happens, and pods that anybody may run.

The pods meet the Pod Security Standard "restricted" (https://kubernetes.io/docs/concepts/security/pod-security-standards/),
and give way to everybody: their PriorityClass is the lowest there is and never preempts.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes import pod_program
from ansible.module_utils.groundwork.kubernetes.cluster import (
    FOLDER,
    NOT_FOUND,
    PROGRAM,
    Cluster,
    KubernetesError,
    Object,
)
from ansible.module_utils.groundwork.waiting import Waiter

LABELS = {"app.kubernetes.io/managed-by": "groundwork", "app.kubernetes.io/part-of": "groundwork-verify"}
PROGRAMS = "programs"
"""The ConfigMap with what pods run, and the volume that it is in them."""
PRIORITY_CLASS = "groundwork-verify"
PRIORITY_CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
LOWEST_PRIORITY = -(2**31)
NODE = "groundwork/node"
"""The annotation that says which node a pod is to prove."""
USER = 65532
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class PodState:
    """Where a pod stands. `problem` says what is in its way, None if nothing is known."""

    name: str
    node: str
    phase: str
    ready: bool = False
    address: str | None = None
    unschedulable: bool = False
    problem: str | None = None

    @property
    def settled(self) -> bool:
        """Whether waiting changes nothing that a proof needs."""
        return self.ready or self.phase in ("Failed", "Succeeded")


def pod(name: str, node: str, image: str, words: Sequence[str], limits: Mapping[str, str] | None = None) -> Object:
    """A pod that runs our program on one node, chosen by affinity: `nodeName` would pass by the scheduler."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": dict(LABELS), "annotations": {NODE: node}},
        "spec": {
            "affinity": _only_on(node),
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "priorityClassName": PRIORITY_CLASS,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 5,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [_container(image, words, limits or {})],
            "volumes": [{"name": PROGRAMS, "configMap": {"name": PROGRAMS}}],
        },
    }


def programs() -> dict[str, str]:
    """What pods run, by file name: our program, and NVIDIA's binding where this interpreter has it.

    Out of the modules as they are here, so that no image of ours has to be built and published.
    """
    binding = importlib.util.find_spec("pynvml")
    files = {"pynvml.py": Path(binding.origin).read_text(encoding="utf-8")} if binding and binding.origin else {}
    return files | {"program.py": inspect.getsource(pod_program)}


def is_ready(found: Object) -> bool:
    """Whether the kubelet calls a pod ready."""
    conditions = found.get("status", {}).get("conditions", ())
    return any((condition["type"], condition["status"]) == ("Ready", "True") for condition in conditions)


def state(found: Object) -> PodState:
    """Where a pod stands, out of its object."""
    status = found.get("status", {})
    conditions = {condition["type"]: condition for condition in status.get("conditions", ())}
    scheduled = conditions.get("PodScheduled", {})
    unschedulable = scheduled.get("status") == "False"
    return PodState(
        name=found["metadata"]["name"],
        node=found["metadata"]["annotations"][NODE],
        phase=status.get("phase", "Pending"),
        ready=is_ready(found),
        address=status.get("podIP"),
        unschedulable=unschedulable,
        problem=scheduled.get("message") if unschedulable else in_the_way(status),
    )


def states(cluster: Cluster, namespace: str) -> list[PodState]:
    """Where our pods stand, by name."""
    found = cluster.get(f"/api/v1/namespaces/{namespace}/pods")
    return sorted(map(state, found["items"]), key=lambda pod: pod.name)


@contextlib.contextmanager
def namespace(cluster: Cluster, name: str, waiter: Waiter) -> Iterator[None]:
    """An empty namespace for a proof. Leftovers of an earlier run go first; it goes at the end, also when interrupted.

    Raises GroundworkError when a namespace of that name is not ours, or does not end or begin in time.
    """
    _refuse_others(cluster, name)
    _remove(cluster, name, waiter)
    with _interruptible():
        try:
            _make(cluster, name, waiter)
            yield
        finally:
            _ignore_interruptions()
            _remove(cluster, name, waiter)


def _make(cluster: Cluster, name: str, waiter: Waiter) -> None:
    labels = {**LABELS, "pod-security.kubernetes.io/enforce": "restricted"}
    if not _exists(cluster, f"{PRIORITY_CLASSES}/{PRIORITY_CLASS}"):
        cluster.create(PRIORITY_CLASSES, _priority_class())
    cluster.create("/api/v1/namespaces", {"kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    path = f"/api/v1/namespaces/{name}/configmaps"
    cluster.create(path, {"kind": "ConfigMap", "metadata": {"name": PROGRAMS}, "data": programs()})
    waiter.need(  # pods are refused before a controller has made it
        lambda: _exists(cluster, f"/api/v1/namespaces/{name}/serviceaccounts/default"),
        bool,
        lambda _: GroundworkError(
            f"Namespace {name} has no service account", "See that the controller manager runs: `microk8s status`."
        ),
    )


def _refuse_others(cluster: Cluster, name: str) -> None:
    path = f"/api/v1/namespaces/{name}"
    if _exists(cluster, path):
        labels = cluster.get(path)["metadata"].get("labels", {})
        if labels.get("app.kubernetes.io/managed-by") != "groundwork":
            raise GroundworkError(f"Namespace {name} is not Groundwork's", "Choose another name for the proof.")


def _remove(cluster: Cluster, name: str, waiter: Waiter) -> None:
    for path in (f"/api/v1/namespaces/{name}", f"{PRIORITY_CLASSES}/{PRIORITY_CLASS}"):
        _end(cluster, path, waiter)


def _end(cluster: Cluster, path: str, waiter: Waiter) -> None:
    waiter.need(
        lambda: _in_the_way_of_its_end(cluster, path),
        lambda reason: not reason,
        lambda reason: GroundworkError(
            f"{path} does not end: {reason}",
            f"See `kubectl get --raw {path}` for the finalizers that hold it, and `kubectl get apiservices`.",
        ),
    )


def _in_the_way_of_its_end(cluster: Cluster, path: str) -> str:
    """Nothing, once it is gone. A server that is away for a moment is asked again: leaving pods behind is worse."""
    try:
        cluster.delete(path)
        return "it is ending" if _exists(cluster, path) else ""
    except KubernetesError as error:
        return error.message


def _exists(cluster: Cluster, path: str) -> bool:
    try:
        cluster.get(path)
    except KubernetesError as error:
        if error.status == NOT_FOUND:
            return False
        raise
    return True


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let signals that end the module raise, so that the namespace still goes."""

    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        _ignore_interruptions()
        raise GroundworkError(f"Interrupted by {signal.Signals(number).name}", "Run again when it suits.")

    before = {ending: signal.signal(ending, stop) for ending in ENDING}
    try:
        yield
    finally:
        for ending, handler in before.items():
            signal.signal(ending, handler)


def _ignore_interruptions() -> None:
    """A second Control-C must not stop the cleaning."""
    for ending in ENDING:
        signal.signal(ending, signal.SIG_IGN)


def _only_on(node: str) -> Object:
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}


def _container(image: str, words: Sequence[str], limits: Mapping[str, str]) -> Object:
    return {
        "name": "verify",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": [*PROGRAM, *words],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": PROGRAMS, "mountPath": FOLDER, "readOnly": True}],
        "resources": {
            "requests": {"cpu": "10m", "memory": "64Mi", **limits},
            "limits": {"memory": "256Mi", **limits},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _priority_class() -> Object:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": PRIORITY_CLASS, "labels": LABELS},
        "value": LOWEST_PRIORITY,
        "preemptionPolicy": "Never",
        "description": "Groundwork's proofs; gone when they end.",
    }


def in_the_way(status: Object) -> str | None:
    """Why a pod that is on its node does not run, or failed: the kubelet's words, or the container's."""
    if status.get("message") or status.get("reason"):
        return ": ".join(filter(None, (status.get("reason"), status.get("message"))))
    for container in status.get("containerStatuses", ()):
        for kind in ("waiting", "terminated"):
            found = container.get("state", {}).get(kind, {})
            if found.get("message") or found.get("reason"):
                return ": ".join(filter(None, (found.get("reason"), found.get("message", "").strip())))
    return None
