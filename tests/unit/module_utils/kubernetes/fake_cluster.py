"""A cluster in memory: an API server's paths, a scheduler that counts GPUs, whole or cut, nodes that run what fits."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ansible.module_utils.groundwork.kubernetes.cluster import KubernetesError, Object

RESOURCE = "nvidia.com/gpu"
INSUFFICIENT = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
Answer = Callable[[str, Sequence[str]], Object]


def refused(status: int) -> KubernetesError:
    return KubernetesError(f"refused with {status}", "See the message.", status)


def user_pod(
    node: str, name: str = "train-0", count: int = 1, phase: str = "Running", resource: str = RESOURCE
) -> Object:
    """A pod of somebody's that holds GPUs."""
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"nodeName": node, "containers": [{"resources": {"limits": {resource: str(count)}}}]},
        "status": {"phase": phase},
    }


class FakeCluster:
    """GPUs by node, as UUIDs; `users` are pods of others, which hold the first GPUs of their nodes.

    mig          MIG devices, and what is shared, by node and resource; a shared UUID stands once for each share
    daemonsets   what the API lists as such
    """

    def __init__(self, gpus: dict[str, list[str]], users: Sequence[Object] = (), ready: bool = True) -> None:
        self.gpus = gpus
        self.mig: dict[str, dict[str, list[str]]] = {}
        self.daemonsets: list[Object] = []
        self.allocatable = {node: len(uuids) for node, uuids in gpus.items()}
        self.capacity = dict(self.allocatable)
        self.users = list(users)
        self.ready = ready
        self.objects: dict[str, Object] = {}
        self.held: dict[str, str] = {}
        self.addresses = itertools.count(1)
        self.log: list[str] = []
        self.answer: Answer = self._gpus_answer
        self.on_create: Callable[[Object], None] = lambda _: None
        self.on_delete: Callable[[str], None] = lambda _: None

    # what modules call

    def get(self, path: str, **query: str) -> Object:
        self.log.append(f"get {path}")
        if path == "/api/v1/nodes":
            return {"items": [self._node(name) for name in self.gpus]}
        if path == "/api/v1/pods":
            assert query == {"fieldSelector": "status.phase!=Succeeded,status.phase!=Failed"}
            return {"items": copy.deepcopy([*self.users, *self.pods()])}
        if path.endswith("/serviceaccounts/default"):
            return {}
        if path.endswith("/daemonsets"):
            return {"items": copy.deepcopy(self.daemonsets)}
        if path.endswith("/pods"):
            return {"items": copy.deepcopy(self.pods())}
        if path not in self.objects:
            raise refused(404)
        return self.objects[path]

    def create(self, path: str, body: Object) -> Object:
        name = body["metadata"]["name"]
        self.log.append(f"create {path}/{name}")
        if f"{path}/{name}" in self.objects:
            raise refused(409)
        made = copy.deepcopy(body)
        self.objects[f"{path}/{name}"] = made
        self.on_create(made)
        if body["kind"] == "Pod":
            made["metadata"]["namespace"] = path.split("/")[4]
            self._schedule(made)
        return made

    def delete(self, path: str) -> None:
        self.log.append(f"delete {path}")
        self.on_delete(path)
        inside = f"/{'/'.join(path.split('/')[3:])}/"
        for key in [key for key in self.objects if key == path or inside in key]:
            self.held.pop(self.objects.pop(key)["metadata"]["name"], None)

    def ask(self, namespace: str, pod: str, words: Sequence[str], seconds: float) -> Object:
        self.log.append(f"ask {pod} {' '.join(words)}")
        assert f"/api/v1/namespaces/{namespace}/pods/{pod}" in self.objects
        assert seconds > 0
        return self.answer(pod, words)

    # what tests look at

    def pods(self) -> list[Object]:
        return [found for found in self.objects.values() if found["kind"] == "Pod"]

    def made(self, kind: str) -> list[Object]:
        return [found for found in self.objects.values() if found["kind"] == kind]

    def free(self, node: str, resource: str = RESOURCE) -> list[str]:
        taken = sum(int(pod["spec"]["containers"][0]["resources"]["limits"].get(resource, 0)) for pod in self.users
                    if pod["spec"]["nodeName"] == node)  # fmt: skip
        devices = self.gpus[node] if resource == RESOURCE else self.mig[node][resource]
        left = Counter(devices[taken:]) - Counter(self.held.values())
        return list(left.elements())

    def _node(self, name: str) -> Object:
        status: dict[str, Any] = {"capacity": {"cpu": "8"}, "allocatable": {"cpu": "8"}}
        if self.capacity[name]:
            status["capacity"][RESOURCE] = str(self.capacity[name])
            status["allocatable"][RESOURCE] = str(self.allocatable[name])
        for resource, uuids in self.mig.get(name, {}).items():
            status["capacity"][resource] = status["allocatable"][resource] = str(len(uuids))
        return {"metadata": {"name": name}, "status": status}

    def _schedule(self, pod: Object) -> None:
        terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        node = terms["nodeSelectorTerms"][0]["matchFields"][0]["values"][0]
        resources = [name for name in pod["spec"]["containers"][0]["resources"]["limits"] if "/" in name]
        for resource in resources:
            free = self.free(node, resource)
            if len(free) < int(pod["spec"]["containers"][0]["resources"]["limits"][resource]):
                condition = {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": INSUFFICIENT,
                }
                pod["status"] = {"phase": "Pending", "conditions": [condition]}
                return
            # The plugin spreads shares over its devices: internal/rm/allocate.go, distributedAlloc.
            self.held[pod["metadata"]["name"]] = max(free, key=free.count)
        pod["spec"]["nodeName"] = node
        state = "True" if self.ready else "False"
        pod["status"] = {
            "phase": "Running" if self.ready else "Pending",
            "podIP": f"10.1.0.{next(self.addresses)}",
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": state}],
        }

    def _gpus_answer(self, pod: str, _words: Sequence[str]) -> Object:
        return {"gpus": [{"uuid": self.held[pod], "name": "NVIDIA H100", "memory_mib": 81559, "parent": None}]}
