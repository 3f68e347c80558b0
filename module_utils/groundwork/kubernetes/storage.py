"""Storage classes, proved: what a pod writes is there for the next one, on other nodes too where that is promised."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ansible.module_utils.groundwork.check import Check, judge
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes import proof
from ansible.module_utils.groundwork.kubernetes.cluster import Cluster, Object
from ansible.module_utils.groundwork.kubernetes.proof import PodState
from ansible.module_utils.groundwork.waiting import Waiter

CLAIM = "verify"
FOLDER = "/srv/verify"
FILE = f"{FOLDER}/word"
ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Wanted:
    """Which class is proved, by pods of which nodes. `shared`: whether pods of all nodes see the same files."""

    storage_class: str
    shared: bool
    nodes: Sequence[str]
    image: str
    namespace: str = "groundwork-verify-storage"

    @property
    def name(self) -> str:
        """The name of the check."""
        return f"kubernetes_storage.{'shared_between_nodes' if self.shared else 'outlives_its_pod'}"


def prove(cluster: Cluster, wanted: Wanted, waiter: Waiter) -> list[Check]:
    """Write in a pod of the first node, then read in pods of all nodes, or of the same one.

    Raises GroundworkError when the API server, or the namespace for the proof, fails.
    """
    with proof.namespace(cluster, wanted.namespace, waiter):
        cluster.create(f"/api/v1/namespaces/{wanted.namespace}/persistentvolumeclaims", _claim(wanted))
        try:
            return [_prove(cluster, wanted, waiter)]
        finally:
            _leave(cluster, wanted, waiter)


def keeps_attributes(cluster: Cluster, wanted: Wanted, waiter: Waiter) -> bool:
    """Whether files on a class's volumes keep extended attributes, as a pod of the first node finds.

    Raises GroundworkError when the pod does not run, or cannot tell.
    """
    with proof.namespace(cluster, wanted.namespace, waiter):
        cluster.create(f"/api/v1/namespaces/{wanted.namespace}/persistentvolumeclaims", _claim(wanted))
        try:
            with _pods(cluster, wanted, waiter, {"prober": wanted.nodes[0]}) as (pod,):
                answer = _answer(cluster, wanted, pod, ["attributes", FOLDER])
        finally:
            _leave(cluster, wanted, waiter)
    if "error" in answer:
        raise GroundworkError(
            f"A pod cannot look at a volume of class {wanted.storage_class}: {answer['error']}",
            "See `kubectl get storageclass`, the provisioner's log, and that the hosts have the path mounted.",
        )
    return bool(answer["attributes"])


def _answer(cluster: Cluster, wanted: Wanted, pod: PodState, words: list[str]) -> Object:
    if not pod.ready:
        return {"error": pod.problem or f"{pod.name}: {pod.phase} after the time given"}
    return cluster.ask(wanted.namespace, pod.name, words, ANSWER_SECONDS)


def _prove(cluster: Cluster, wanted: Wanted, waiter: Waiter) -> Check:
    first = wanted.nodes[0]
    reading = wanted.nodes if wanted.shared else [first]
    word = secrets.token_hex(16)
    with _pods(cluster, wanted, waiter, {"writer": first}) as (writer,):
        faults = list(_fault(cluster, wanted, writer, ["write", FILE, word], "written", len(word)))
    if not faults:
        with _pods(cluster, wanted, waiter, {f"reader-{node}": node for node in reading}) as readers:
            faults = [text for pod in readers for text in _fault(cluster, wanted, pod, ["read", FILE], "text", word)]
    found = f"written on {first}, read on {', '.join(reading)}"
    return judge(
        wanted.name,
        not faults,
        f"{wanted.storage_class}: {'; '.join(faults) or found}",
        "a file is written by one pod and read by the next",
        f"`kubectl describe pvc,pod` in a namespace of yours with a claim of class {wanted.storage_class} says what "
        "stands in the way; see the provisioner's log, and that the hosts have the path mounted.",
    )


def _fault(
    cluster: Cluster, wanted: Wanted, pod: PodState, words: list[str], key: str, expected: object
) -> Iterator[str]:
    """What is wrong with a pod or its answer."""
    if not pod.ready:
        yield f"{pod.name}: {pod.problem or f'{pod.phase} after the time given'}"
        return
    answer = cluster.ask(wanted.namespace, pod.name, words, ANSWER_SECONDS)
    if answer.get(key) != expected:
        yield f"{pod.name}: {answer.get('error', 'another text than was written')}"


@contextlib.contextmanager
def _pods(cluster: Cluster, wanted: Wanted, waiter: Waiter, nodes: Mapping[str, str]) -> Iterator[list[PodState]]:
    """Pods by name, each on its node, that have the volume; gone afterwards, so that the next see what is on the disk.

    Raises GroundworkError when one of them was taken away.
    """
    path = f"/api/v1/namespaces/{wanted.namespace}/pods"
    for name, node in nodes.items():
        cluster.create(path, _pod(wanted, name, node))

    def found() -> list[PodState]:
        return [pod for pod in proof.states(cluster, wanted.namespace) if pod.name in nodes]

    pods = waiter.until(found, lambda pods: all(pod.settled for pod in pods))[0]
    if gone := sorted(set(nodes) - {pod.name for pod in pods}):
        raise GroundworkError(f"Somebody removed pods of the proof: {', '.join(gone)}", "Run it again when it suits.")
    yield pods
    for name in nodes:
        cluster.delete(f"{path}/{name}")
    waiter.until(found, lambda pods: not pods)


def _pod(wanted: Wanted, name: str, node: str) -> Object:
    body = proof.pod(name, node, wanted.image, ["sleep"])
    body["spec"]["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": CLAIM}})
    body["spec"]["containers"][0]["volumeMounts"].append({"name": "data", "mountPath": FOLDER})
    return body


def _leave(cluster: Cluster, wanted: Wanted, waiter: Waiter) -> None:
    """Take the claim back while the namespace is there: the provisioner needs it to remove the volume's files."""
    path = f"/api/v1/namespaces/{wanted.namespace}"
    for pod in proof.states(cluster, wanted.namespace):
        cluster.delete(f"{path}/pods/{pod.name}")
    cluster.delete(f"{path}/persistentvolumeclaims/{CLAIM}")

    def volumes() -> list[str]:
        found = cluster.get("/api/v1/persistentvolumes")["items"]
        return [volume["metadata"]["name"] for volume in found if _is_ours(volume, wanted)]

    waiter.need(
        volumes,
        lambda names: not names,
        lambda names: GroundworkError(
            f"Volumes of the proof do not go: {', '.join(names)}", "See the provisioner's log for its helper pods."
        ),
    )


def _is_ours(volume: Object, wanted: Wanted) -> bool:
    return bool(volume["spec"].get("claimRef", {}).get("namespace") == wanted.namespace)


def _claim(wanted: Wanted) -> Object:
    mode = "ReadWriteMany" if wanted.shared else "ReadWriteOnce"
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM},
        "spec": {
            "storageClassName": wanted.storage_class,
            "accessModes": [mode],
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }
