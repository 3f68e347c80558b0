"""What of a GPU Operator is in the cluster, and which pods have GPUs by it.

What the chart makes carries its labels, or Helm's annotations; what the operator makes is owned by its policy, and the
API server ends it with that; what it writes on nodes has names of its own (NVIDIA/gpu-operator, its chart and
controllers/state_manager.go). Feature discovery's labels stay: ours writes the same, and drops what is no longer so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ansible.module_utils.groundwork.gpu_operator.kubectl import Cluster
from ansible.module_utils.groundwork.gpu_operator.model import (
    Marks,
    Namespace,
    Object,
    Pod,
    Release,
    Settle,
    State,
    Thing,
)

GROUP = "nvidia.com"
POLICIES = {
    "clusterpolicies.nvidia.com": "ClusterPolicy",
    "gpuclusters.nvidia.com": "GPUCluster",
    "nvidiadrivers.nvidia.com": "NVIDIADriver",
}
"""By the names of their definitions, in the order in which they go: the driver last."""
NAMES = ("gpu-operator", "gpu-operator-resources", "nvidia-gpu-operator")
"""The namespaces of NVIDIA's guide, of MicroK8s's addon and of the operator's own suggestion."""
NEVER = ("default", "kube-system", "kube-public", "kube-node-lease")
MADE = (
    "daemonsets.apps",
    "deployments.apps",
    "jobs.batch",
    "serviceaccounts",
    "roles.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
    "runtimeclasses.node.k8s.io",
)
"""What the chart and the operator make, and an uninstallation that was cut short leaves."""
OTHERS = (
    "deployments.apps",
    "daemonsets.apps",
    "statefulsets.apps",
    "jobs.batch",
    "cronjobs.batch",
    "persistentvolumeclaims",
)
"""What makes a namespace somebody else's, too; beside pods of no such controller."""
WORKLOADS = ("DaemonSet", "Job", "ReplicaSet", "StatefulSet")
"""Controllers of pods that are looked at themselves; a ReplicaSet's is its Deployment."""
SURE = re.compile(r"nvidia\.com/(gpu\.deploy\..*|gpu-driver-upgrade.*|gpu-operator\..*)$")
"""Labels that nobody but the operator sets."""
LABELS = re.compile(rf"({SURE.pattern})|nvidia\.com/(gpu\.present|gpu\.workload\.config|(mig|vgpu)\.config(\.state)?)$")
"""Those that it sets, too, but people as well where there is none: the device plugin's chart knows gpu.present."""
ANNOTATIONS = re.compile(r"nvidia\.com/(gpu-driver-upgrade.*|gpu-operator.*)$")
RESOURCES = "nvidia.com/"
TAINT = "groundwork/adopt"
CLAIM = "groundwork/adopt"
AGAIN = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
}
ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Seen:
    """Objects as the API server gives them."""

    releases: Sequence[Release] = ()
    definitions: Sequence[str] = ()
    policies: Sequence[Object] = ()
    made: Sequence[Object] = ()
    others: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    nodes: Sequence[Object] = ()
    namespaces: Sequence[Object] = ()

    @property
    def names(self) -> set[tuple[str, str]]:
        """The releases, as Helm writes them on what it installs."""
        return {(one.namespace, one.name) for one in self.releases}


def look(cluster: Cluster) -> Seen:
    """Ask for all of it. Raises GroundworkError where the API server does not answer."""
    definitions = [_name(one) for one in cluster.objects("customresourcedefinitions.apiextensions.k8s.io")]
    there = [name for name in POLICIES if name in definitions]
    policies = [found for name in there for found in cluster.objects(name)]
    return Seen(
        releases=cluster.releases(),
        definitions=there,
        policies=policies,
        made=cluster.objects(*MADE),
        others=cluster.objects(*OTHERS),
        pods=cluster.objects("pods"),
        nodes=cluster.objects("nodes"),
        namespaces=cluster.objects("namespaces"),
    )


def observe(cluster: Cluster) -> State:
    """What is there."""
    return state(look(cluster))


def state(seen: Seen) -> State:
    """What is there, out of objects."""
    owned = [one for one in seen.made if _owned(one)]
    mine = [one for one in seen.made if belongs(one, seen)]
    loose = [one for one in mine if not _owned(one) and _release(one) not in seen.names]
    workloads = {(_kind(one), _space(one), _name(one)) for one in mine}
    specs = [one.get("spec", {}) for one in seen.policies]
    return State(
        releases=tuple(seen.releases),
        policies=tuple(_thing(one) for one in seen.policies),
        definitions=tuple(seen.definitions),
        operands=tuple(_thing(one) for one in owned),
        leftovers=tuple(_thing(one) for one in loose),
        namespaces=tuple(_namespaces(seen, owned)),
        marks=tuple(_marks(seen.nodes)),
        pods=tuple(sorted(_pods(seen, workloads), key=lambda pod: (pod.node, pod.namespace, pod.name))),
        nodes=tuple(_name(node) for node in seen.nodes if _has_gpus(node)),
        closed=tuple(_name(node) for node in seen.nodes if _is_closed(node)),
        runs=any(_kind(one) == "Deployment" and _is_operator(one) and _ready(one) for one in mine),
        settings=tuple(_settings(specs, seen.nodes)),
        restored_by=tuple(sorted({by for one in (*mine, *seen.policies) for by in _restorers(one)})),
        for_machines=any(_enabled(spec, "sandboxWorkloads") for spec in specs),
        own_driver=any(_kind(one) == "NVIDIADriver" for one in seen.policies)
        or any(_kind(one) == "ClusterPolicy" and _enabled(one.get("spec", {}), "driver") for one in seen.policies),
    )


def belongs(found: Object, seen: Seen) -> bool:
    """Whether the operator's chart or the operator made it."""
    labels = _labels(found)
    return (
        _owned(found)
        or labels.get("app.kubernetes.io/component") == "gpu-operator"
        or labels.get("app.kubernetes.io/managed-by") == "gpu-operator"
        or labels.get("helm.sh/chart", "").startswith("gpu-operator-")
        or _release(found) in seen.names
        or _release(found)[1].startswith("gpu-operator")
    )


def offered(nodes: Iterable[Object]) -> int:
    """How many devices of NVIDIA's the nodes have on offer."""
    return sum(
        int(count)
        for node in nodes
        for name, count in node.get("status", {}).get("allocatable", {}).items()
        if name.startswith(RESOURCES)
    )


# --- pods -------------------------------------------------------------------------------------------------------------


def _pods(seen: Seen, workloads: set[tuple[str, str, str]]) -> Iterator[Pod]:
    """Those that have a GPU, by whatever way the operator's wiring gives it, and are not its own."""
    by_claim = any(_kind(policy) == "GPUCluster" for policy in seen.policies)
    for pod in seen.pods:
        owner = _controller(pod)
        mine = (owner.get("kind", ""), _space(pod), owner.get("name", "")) in workloads or _operators(pod)
        if not mine and _runs(pod) and has_gpu(pod, by_claim):
            uid = pod["metadata"].get("uid", "")
            yield Pod(_space(pod), _name(pod), pod["spec"]["nodeName"], owner.get("kind", ""), uid)


def has_gpu(pod: Object, by_claim: bool = False) -> bool:
    """Whether it asks for a device of NVIDIA's, by resource, runtime class or the runtime's variable.

    by_claim  claims give GPUs, too
    """
    spec = pod["spec"]
    containers = [*spec.get("initContainers", ()), *spec["containers"]]
    return (
        str(spec.get("runtimeClassName", "")).startswith("nvidia")
        or (by_claim and bool(spec.get("resourceClaims")))
        or any(_asks(container) for container in containers)
    )


def _asks(container: Object) -> bool:
    resources = container.get("resources", {})
    asked = {**resources.get("requests", {}), **resources.get("limits", {})}
    if any(name.startswith(RESOURCES) and str(count) != "0" for name, count in asked.items()):
        return True
    variables = {one["name"]: one.get("value", "") for one in container.get("env", ())}
    return variables.get("NVIDIA_VISIBLE_DEVICES", "void") not in ("", "void", "none")


def remains(made: Iterable[Object], pods: Iterable[Object], waited: Settle) -> list[str]:
    """What the operator ran and has not ended. Of a DaemonSet that is gone pods tell the name alone."""
    sets = {(one.namespace, one.name) for one in waited.operands if one.kind.startswith("daemonset")}
    running = [pod for pod in pods if pod.get("status", {}).get("phase") not in ENDED]
    theirs = [pod for pod in running if _is_theirs(pod, sets, waited.namespaces)]
    return [*(str(_thing(one)) for one in made if _owned(one)), *(str(_thing(pod)) for pod in theirs)]


def _is_theirs(pod: Object, sets: set[tuple[str, str]], namespaces: Sequence[str]) -> bool:
    """The operator itself is waited for as well: it labels nodes as long as it runs."""
    owner = _controller(pod)
    by_set = owner.get("kind") == "DaemonSet" and (_space(pod), owner["name"]) in sets
    return by_set or _space(pod) in namespaces or _is_operator(pod)


def _runs(pod: Object) -> bool:
    return bool(pod["spec"].get("nodeName")) and pod.get("status", {}).get("phase") not in ENDED


def _operators(pod: Object) -> bool:
    """Its validators' pods are owned by a policy, or say whose they are."""
    return _owned(pod) or _labels(pod).get("app.kubernetes.io/managed-by") == "gpu-operator"


# --- namespaces -------------------------------------------------------------------------------------------------------


def _namespaces(seen: Seen, owned: Iterable[Object]) -> Iterator[Namespace]:
    """Those that are the operator's; one that ends already is none."""
    homes = {one.namespace for one in seen.releases} | {_space(one) for one in owned} | set(NAMES)
    for found in seen.namespaces:
        name = _name(found)
        claimed = CLAIM in (found["metadata"].get("annotations") or {})
        if (name in homes or claimed) and name not in NEVER:
            yield Namespace(name, tuple(_strangers(seen, name)), claimed)


def _strangers(seen: Seen, namespace: str) -> Iterator[str]:
    """What somebody else has there."""
    for found in (*seen.others, *seen.pods):
        alone = _kind(found) != "Pod" or not (_controller(found).get("kind") in WORKLOADS or _operators(found))
        if _space(found) == namespace and alone and not belongs(found, seen):
            yield f"{_kind(found)} {_name(found)}"


# --- nodes ------------------------------------------------------------------------------------------------------------


def _marks(nodes: Iterable[Object]) -> Iterator[Marks]:
    for node in nodes:
        labels = tuple(sorted(name for name in _labels(node) if LABELS.match(name)))
        names = node["metadata"].get("annotations") or {}
        annotations = tuple(sorted(name for name in names if ANNOTATIONS.match(name)))
        if annotations or any(SURE.match(name) for name in labels):
            yield Marks(_name(node), labels, annotations)


def _has_gpus(node: Object) -> bool:
    capacity = node.get("status", {}).get("capacity", {})
    return any(name.startswith(RESOURCES) for name in capacity) or any(SURE.match(name) for name in _labels(node))


def _is_closed(node: Object) -> bool:
    return any(taint.get("key") == TAINT for taint in node.get("spec", {}).get("taints") or ())


# --- what the policy says ---------------------------------------------------------------------------------------------


def _settings(specs: Iterable[Mapping[str, Object]], nodes: Iterable[Object]) -> Iterator[str]:
    """What users may rest on and what our roles must be told, since nothing of it is taken over by itself."""
    for spec in specs:
        if name := (spec.get("devicePlugin", {}).get("config") or {}).get("name"):
            yield f"the device plugin's configurations are in ConfigMap {name}: see gpu_device_plugin_configurations"
        if (strategy := spec.get("mig", {}).get("strategy", "single")) != "single":
            yield f"MIG strategy {strategy}: see migStrategy in gpu_device_plugin_configurations"
    for node in nodes:
        layout = _labels(node).get("nvidia.com/mig.config", "all-disabled")
        if layout != "all-disabled":
            yield f"MIG layout {layout} on {_name(node)}: see gpu_mig_layout"


def _enabled(spec: Mapping[str, Object], part: str) -> bool:
    """Parts are on where the policy says so; the driver where it says nothing."""
    return bool((spec.get(part) or {}).get("enabled", part == "driver" and bool(spec)))


def _restorers(found: Object) -> set[str]:
    marks = {**_labels(found), **(found["metadata"].get("annotations") or {})}
    return {by for name, by in AGAIN.items() if name in marks}


# --- objects ----------------------------------------------------------------------------------------------------------


def _is_operator(found: Object) -> bool:
    return _labels(found).get("app.kubernetes.io/component") == "gpu-operator" or _name(found) == "gpu-operator"


def _ready(found: Object) -> bool:
    return bool(found.get("status", {}).get("readyReplicas"))


def _owned(found: Object) -> bool:
    owners = found["metadata"].get("ownerReferences") or ()
    return any(owner["apiVersion"].startswith(f"{GROUP}/") and owner["kind"] in POLICIES.values() for owner in owners)


def _controller(found: Object) -> Object:
    return next((one for one in found["metadata"].get("ownerReferences") or () if one.get("controller")), {})


def _release(found: Object) -> tuple[str, str]:
    annotations = found["metadata"].get("annotations") or {}
    return annotations.get("meta.helm.sh/release-namespace", ""), annotations.get("meta.helm.sh/release-name", "")


def _thing(found: Object) -> Thing:
    group = found["apiVersion"].rpartition("/")[0]
    kind = f"{_kind(found).lower()}.{group}".rstrip(".")
    return Thing(kind, _name(found), _space(found), tuple(found["metadata"].get("finalizers") or ()))


def _kind(found: Object) -> str:
    return str(found["kind"])


def _name(found: Object) -> str:
    return str(found["metadata"]["name"])


def _space(found: Object) -> str:
    return str(found["metadata"].get("namespace", ""))


def _labels(found: Object) -> Mapping[str, str]:
    return found["metadata"].get("labels") or {}
