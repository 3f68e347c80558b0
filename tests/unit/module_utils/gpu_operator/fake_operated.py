"""A cluster in memory with a GPU Operator in it: Helm, the garbage collector, finalizers, budgets, kubelets."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from ansible.module_utils.groundwork.gpu_operator.model import Object, Pod, Release, Thing

SPACE = "gpu-operator-resources"
HELM = {"meta.helm.sh/release-name": "gpu-operator", "meta.helm.sh/release-namespace": SPACE}
RELEASE = Release(SPACE, "gpu-operator", "gpu-operator-v25.10.0")
GROUPS = {
    "DaemonSet": "apps/v1",
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "ClusterRole": "rbac.authorization.k8s.io/v1",
    "RuntimeClass": "node.k8s.io/v1",
    "ClusterPolicy": "nvidia.com/v1",
    "GPUCluster": "nvidia.com/v1alpha1",
    "NVIDIADriver": "nvidia.com/v1alpha1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
}
POLICY = "cluster-policy"
OWNED = [{"apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy", "name": POLICY, "controller": True}]


def make(kind: str, name: str, namespace: str = "", **parts: Any) -> Object:
    """An object; labels, annotations, owners and finalizers go into its metadata, the rest beside it."""
    names = {"labels": "labels", "annotations": "annotations", "owners": "ownerReferences", "holds": "finalizers"}
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), "uid": f"{kind}-{namespace}-{name}"}
    metadata |= {key: parts.pop(part) for part, key in names.items() if part in parts}
    return {"apiVersion": GROUPS.get(kind, "v1"), "kind": kind, "metadata": metadata, **parts}


def pod(name: str, owner: str = "", node: str = "n2", namespace: str = "default", **spec: Any) -> Object:
    """A pod that has a GPU unless `spec` says something else; `owner` is kind/name."""
    kind, _, of = owner.partition("/")
    owners = [{"apiVersion": "apps/v1", "kind": kind, "name": of, "controller": True}] if owner else []
    containers = [{"resources": {"limits": {"nvidia.com/gpu": "1"}}}]
    made = make("Pod", name, namespace, owners=owners, status={"phase": "Running"})
    return {**made, "spec": {"nodeName": node, "containers": containers, **spec}}


def node(name: str, gpus: int = 0, labels: dict[str, str] | None = None, **parts: Any) -> Object:
    amount = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    return make("Node", name, labels=labels or {}, spec={}, status={"capacity": amount, "allocatable": amount}, **parts)


def operated() -> list[Object]:
    """What the addon leaves: release, policy, operands, labels, and a GPU on n2."""
    labels = {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.deploy.driver": "pre-installed",
        "nvidia.com/gpu.deploy.container-toolkit": "true",
        "nvidia.com/mig.config": "all-disabled",
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        "feature.node.kubernetes.io/pci-10de.present": "true",
    }
    plugin, toolkit = "nvidia-device-plugin-daemonset", "nvidia-container-toolkit-daemonset"
    operator = {"app.kubernetes.io/component": "gpu-operator"}
    return [
        node("n1"),
        node("n2", 1, labels),
        make("Namespace", "default"),
        make("Namespace", SPACE),
        make("CustomResourceDefinition", "clusterpolicies.nvidia.com"),
        make("CustomResourceDefinition", "nvidiadrivers.nvidia.com"),
        make("CustomResourceDefinition", "raycluster.ray.io"),
        make("ClusterPolicy", POLICY, spec={"driver": {"enabled": False}}),
        make("Deployment", "gpu-operator", SPACE, labels=operator, annotations=HELM, status={"readyReplicas": 1}),
        make("ClusterRole", "gpu-operator-node-feature-discovery", annotations=HELM),
        make("ClusterRole", "view"),
        make("RuntimeClass", "nvidia", labels=operator, owners=OWNED),
        make("DaemonSet", plugin, SPACE, owners=OWNED),
        make("DaemonSet", toolkit, SPACE, owners=OWNED),
        pod("gpu-operator-1", "ReplicaSet/gpu-operator", "n1", SPACE, containers=[{}]),
        pod("plugin-1", f"DaemonSet/{plugin}", namespace=SPACE, runtimeClassName="nvidia", containers=[{}]),
        pod("toolkit-1", f"DaemonSet/{toolkit}", namespace=SPACE, containers=[{}]),
        make("ConfigMap", "time-slicing", SPACE, data={"any": "version: v1"}),
        make("ConfigMap", "kube-root-ca.crt", SPACE, data={"ca.crt": "PEM"}),
    ]


class FakeOperated:
    """Does what the API server, its controllers, Helm and the operator do.

    answers   whether the operator takes its finalizers away
    budgets   pods by namespace/name that may not be evicted
    before    called with each change, before it: a test raises to kill the run there
    """

    def __init__(self, objects: list[Object], releases: tuple[Release, ...] = (RELEASE,)) -> None:
        self.all = copy.deepcopy(objects)
        self.helm = list(releases)
        self.answers = True
        self.budgets: dict[str, str] = {}
        self.log: list[str] = []
        self.before: Callable[[str], None] = lambda _: None

    # what a takeover calls

    def objects(self, *kinds: str) -> list[Object]:
        wanted = [_singular(kind.partition(".")[0]) for kind in kinds]
        return copy.deepcopy([one for one in self.all if one["kind"].lower() in wanted])

    def releases(self) -> list[Release]:
        return list(self.helm)

    def values(self, release: Release) -> Object:
        assert release in self.helm
        return {"driver": {"enabled": "false"}}

    def uninstall(self, release: Release, seconds: float) -> None:
        assert seconds > 0
        self._note(f"uninstall {release.name}")
        self.helm = [one for one in self.helm if one != release]
        where = (release.namespace, release.name)
        self._drop(lambda one: _release(one) == where)

    def delete(self, thing: Thing, seconds: float) -> bool:
        assert seconds > 0
        self._note(f"delete {thing.kind}/{thing.name}")
        found = self._find(thing)
        if found is None:
            return True
        if found["metadata"].get("finalizers") and not (self.answers and self._operator_runs()):
            found["metadata"]["deletionTimestamp"] = "now"
            return False
        if found["kind"] == "Namespace":
            self._drop(lambda one: one["metadata"].get("namespace") == thing.name)
        self._drop(lambda one: one is found)
        return True

    def change(self, thing: Thing, patch: Object) -> None:
        self._note(f"change {thing.kind}/{thing.name}")
        found = self._find(thing)
        assert found is not None
        for part, values in patch["metadata"].items():
            if values is None:
                found["metadata"].pop(part, None)
                continue
            mine = found["metadata"].setdefault(part, {})
            mine.update(values)
            found["metadata"][part] = {key: value for key, value in mine.items() if value is not None}

    def taint(self, node: str, taint: str) -> None:
        self._note(f"taint {node} {taint}")
        spec = self.one("Node", node)["spec"]
        key = taint.rstrip("-").partition("=")[0]
        spec["taints"] = [one for one in spec.get("taints", ()) if one["key"] != key]
        if not taint.endswith("-"):
            spec["taints"].append({"key": key})

    def evict(self, pod: Pod) -> str:
        if refusal := self.budgets.get(f"{pod.namespace}/{pod.name}"):
            return refusal
        self._note(f"evict {pod.name}")
        self._drop(lambda one: one["metadata"]["uid"] == pod.uid)
        return ""

    # what tests look at

    def one(self, kind: str, name: str) -> Object:
        return next(one for one in self.all if (one["kind"], one["metadata"]["name"]) == (kind, name))

    def names(self, *kinds: str) -> list[str]:
        return [one["metadata"]["name"] for one in self.all if one["kind"] in kinds]

    # what controllers do

    def _note(self, what: str) -> None:
        self.before(what)
        self.log.append(what)

    def _find(self, thing: Thing) -> Object | None:
        kind = thing.kind.partition(".")[0]
        found = (one for one in self.all if (one["kind"].lower(), one["metadata"]["name"]) == (kind, thing.name))
        return next((one for one in found if one["metadata"].get("namespace", "") == thing.namespace), None)

    def _operator_runs(self) -> bool:
        return any(one.get("status", {}).get("readyReplicas") for one in self.all if one["kind"] == "Deployment")

    def _drop(self, gone: Callable[[Object], bool]) -> None:
        """Remove objects, and what is owned by one that is not there; kubelets tell of plugins that are gone."""
        self.all = [one for one in self.all if not gone(one)]
        known = {(one["kind"], one["metadata"]["name"]) for one in self.all} | {("ReplicaSet", "ours")}
        known |= {("ReplicaSet", name) for kind, name in known if kind == "Deployment"}
        orphans = [one for one in self.all if not _has_owner(one, known)]
        if orphans:
            self._drop(lambda one: any(one is orphan for orphan in orphans))
        if "nvidia-device-plugin-daemonset" not in self.names("DaemonSet"):
            for each in (one for one in self.all if one["kind"] == "Node"):
                each["status"]["allocatable"] = {}


def _has_owner(found: Object, known: set[tuple[str, str]]) -> bool:
    owners = [(one["kind"], one["name"]) for one in found["metadata"].get("ownerReferences", ())]
    return not owners or any(owner in known for owner in owners)


def _release(found: Object) -> tuple[str, str]:
    annotations = found["metadata"].get("annotations") or {}
    return annotations.get("meta.helm.sh/release-namespace", ""), annotations.get("meta.helm.sh/release-name", "")


def _singular(plural: str) -> str:
    special = {"clusterpolicies": "clusterpolicy", "runtimeclasses": "runtimeclass"}
    return special.get(plural, plural.removesuffix("s"))
