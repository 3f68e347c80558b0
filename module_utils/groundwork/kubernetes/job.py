"""A Job that is run once, to its end: what its pods said, and whether it succeeded.

https://kubernetes.io/docs/concepts/workloads/controllers/job/ says which conditions end one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes.cluster import NOT_FOUND, KubernetesError, Object
from ansible.module_utils.groundwork.kubernetes.proof import in_the_way
from ansible.module_utils.groundwork.waiting import Waiter

LAST_LINES = 15


class Cluster(Protocol):
    """What this needs of a cluster."""

    def get(self, path: str, **query: str) -> Object:
        """The object, or list, at a path of the API."""

    def create(self, path: str, body: Object) -> Object:
        """The object as the server made it in the collection at `path`."""

    def delete(self, path: str) -> None:
        """Ask for the object's end; one that is not there is fine."""

    def text(self, path: str, **query: str) -> str:
        """What the server answers in plain text."""


@dataclass(frozen=True)
class Ended:
    """A Job that came to its end, or to that of the time given. `said` is what its containers wrote, by their names."""

    succeeded: bool
    said: Mapping[str, str]
    problem: str = ""

    @property
    def last_lines(self) -> str:
        """The last lines of all containers, in the order in which they ran."""
        lines = [line for text in self.said.values() for line in text.strip().splitlines()]
        return "\n".join([*lines[-LAST_LINES:], *filter(None, [self.problem])])


def run(cluster: Cluster, definition: Object, waiter: Waiter) -> Ended:
    """Run a Job to its end, and remove it with its pods. One of that name that is left from a run before goes first.

    Raises GroundworkError where the server refuses, or an earlier Job does not go.
    """
    metadata = definition["metadata"]
    collection = f"/apis/batch/v1/namespaces/{metadata['namespace']}/jobs"
    path = f"{collection}/{metadata['name']}"
    _remove(cluster, path, waiter)
    cluster.create(collection, definition)
    try:
        found, ended = waiter.until(lambda: cluster.get(path), lambda job: bool(_end(job)))
        said, problem = _pods(cluster, metadata["namespace"], metadata["name"])
        return Ended(_end(found) == "Complete", said, problem if ended else f"not ended in time; {problem}")
    finally:
        _remove(cluster, path, waiter)


def _end(job: Object) -> str:
    """The condition that ended a Job; empty while it runs."""
    conditions = job.get("status", {}).get("conditions", ())
    ends = [each["type"] for each in conditions if each["status"] == "True" and each["type"] in ("Complete", "Failed")]
    return ends[0] if ends else ""


def _pods(cluster: Cluster, namespace: str, job: str) -> tuple[dict[str, str], str]:
    """What the containers of its last pod wrote, and what stood in the pod's way."""
    found = cluster.get(f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"batch.kubernetes.io/job-name={job}")
    pods = sorted(found["items"], key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    if not pods:
        return {}, "it has no pod"
    spec = pods[-1]["spec"]
    names = [container["name"] for container in [*spec.get("initContainers", ()), *spec["containers"]]]
    path = f"/api/v1/namespaces/{namespace}/pods/{pods[-1]['metadata']['name']}/log"
    said = {name: _log(cluster, path, name) for name in names}
    return said, _problem(pods[-1].get("status", {}))


def _problem(status: Object) -> str:
    """What stood in the way of the first container that did not do its work."""
    both = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    undone = [each for each in both if each.get("state", {}).get("terminated", {}).get("exitCode") != 0]
    return in_the_way({**status, "containerStatuses": undone[:1]}) or ""


def _log(cluster: Cluster, path: str, container: str) -> str:
    """What a container wrote; nothing where it never began."""
    try:
        return cluster.text(path, container=container)
    except KubernetesError:
        return ""


def _remove(cluster: Cluster, path: str, waiter: Waiter) -> None:
    def remains() -> bool:
        try:
            cluster.delete(path)
            cluster.get(path)
        except KubernetesError as error:
            if error.status == NOT_FOUND:
                return False
            raise
        return True

    waiter.need(
        remains,
        lambda there: not there,
        lambda _: GroundworkError(f"{path} does not end", f"See `kubectl get --raw {path}` for what holds it."),
    )
