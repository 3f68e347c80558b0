"""What is to be asked of a cluster, beside what every cluster is asked: of that which is not ready, and of our pods.

Secrets are never asked for. What kubectl says is collected as a host's other commands are (collect.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ansible.module_utils.groundwork.kubernetes.cluster import Object

OURS = {("app.kubernetes.io/managed-by", "groundwork"), ("app.kubernetes.io/part-of", "groundwork")}
SHOWN = "all,persistentvolumeclaims,networkpolicies,ingresses,resourcequotas,limitranges,poddisruptionbudgets"
Words = tuple[str, ...]


class Cluster(Protocol):
    """What this needs of a cluster."""

    def get(self, path: str, **query: str) -> Object:
        """The object, or list, at a path of the API."""


@dataclass(frozen=True)
class State:
    """What is there: our namespaces, all pods, and claims of volumes."""

    namespaces: Sequence[str]
    pods: Sequence[Object]
    claims: Sequence[Object]


@dataclass(frozen=True)
class Question:
    """The words after kubectl, and the file that the answer goes into."""

    name: str
    words: Words


def observe(cluster: Cluster, beside: Iterable[str]) -> State:
    """Observe; `beside` are namespaces that are taken for ours where they exist.

    Raises KubernetesError where the API server does not answer.
    """
    found = cluster.get("/api/v1/namespaces")["items"]
    wanted = set(beside)
    ours = [
        each["metadata"]["name"]
        for each in found
        if each["metadata"]["name"] in wanted or OURS & set((each["metadata"].get("labels") or {}).items())
    ]
    pods = cluster.get("/api/v1/pods")["items"]
    return State(sorted(ours), pods, cluster.get("/api/v1/persistentvolumeclaims")["items"])


def plan(state: State, lines: int) -> list[Question]:
    """What to ask.

    lines  how many of each container's log
    """
    pods = sorted(state.pods, key=_place)
    return [
        *(question for namespace in state.namespaces for question in _namespace(namespace)),
        *(_describe("pod", pod) for pod in pods if not is_well(pod)),
        *(_describe("pvc", claim) for claim in state.claims if claim.get("status", {}).get("phase") != "Bound"),
        *(log for pod in pods if pod["metadata"]["namespace"] in state.namespaces for log in _logs(pod, lines)),
    ]


def is_well(pod: Object) -> bool:
    """Whether a pod is ready, or has done its work."""
    status = pod.get("status", {})
    ready = {condition["type"]: condition["status"] for condition in status.get("conditions") or ()}.get("Ready")
    return status.get("phase") == "Succeeded" or ready == "True"


def _namespace(name: str) -> Iterator[Question]:
    folder = f"namespaces/{name}"
    yield Question(f"{folder}/objects.txt", ("get", SHOWN, "--namespace", name, "--output=wide", "--ignore-not-found"))
    for kind in ("pods", "configmaps"):
        yield Question(f"{folder}/{kind}.yaml", ("get", kind, "--namespace", name, "--output=yaml"))


def _describe(kind: str, found: Object) -> Question:
    namespace, name = _place(found)
    return Question(f"not-ready/{kind}-{namespace}-{name}.txt", ("describe", kind, "--namespace", namespace, name))


def _logs(pod: Object, lines: int) -> Iterator[Question]:
    """Of each container that was begun, and of what it was before it was begun again."""
    namespace, name = _place(pod)
    status = pod.get("status", {})
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        words = ("logs", "--namespace", namespace, name, "--container", container["name"], f"--tail={lines}")
        file = f"namespaces/{namespace}/logs/{name}/{container['name']}"
        if set(container.get("state") or {}) & {"running", "terminated"}:
            yield Question(f"{file}.log", words)
        if container.get("restartCount"):
            yield Question(f"{file}.previous.log", (*words, "--previous"))


def _place(found: Object) -> tuple[str, str]:
    return found["metadata"]["namespace"], found["metadata"]["name"]
