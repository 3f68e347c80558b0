"""GPUs as Kubernetes sees them, proved: what is allocatable equals what NVML sees, and pods get it, each its own.

A whole GPU is one device, and so is each MIG device; devices of a kind are one resource of their node. A device that is
shared stands in its resource's list as often as it is offered (sharing.py): shares are no more GPUs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ansible.module_utils.groundwork.check import Check, failed, judge, ok, skipped
from ansible.module_utils.groundwork.kubernetes import proof
from ansible.module_utils.groundwork.kubernetes.cluster import Cluster, Object
from ansible.module_utils.groundwork.kubernetes.proof import PodState
from ansible.module_utils.groundwork.waiting import Waiter

ANSWER_SECONDS = 30.0
WHOLE = "nvidia.com/gpu"
OFFERED = re.compile(r"nvidia\.com/(gpu\.shared|mig-.+)")
"""What a node may offer beside whole GPUs, and still offer when NVML tells of none."""
PODS_PER_SHARED = 2
"""Two pods on each shared device show that it is shared; a node may offer more shares than it takes pods."""
PROVED = tuple(
    f"kubernetes_gpu.{name}" for name in ("all_gpus_could_be_proved", "pods_see_their_gpu", "one_more_waits")
)
"""The checks of `prove`, in their order."""
FINISHED = "status.phase!=Succeeded,status.phase!=Failed"
LOOK_AGAIN = (
    "Run playbooks/kubernetes_gpu.yml: it has the device plugin look again where it is wrong, as after an Xid or a "
    "change of MIG devices, and says what stands in its way."
)


@dataclass(frozen=True)
class Wanted:
    """What to prove: the UUIDs that NVML tells, by node and resource, and how. `cordoned`: on such nodes as well."""

    nodes: Mapping[str, Mapping[str, Sequence[str]]]
    image: str
    namespace: str = "groundwork-verify"
    runtime_class: str = ""
    cordoned: bool = False

    def listed(self, node: Node) -> Sequence[str]:
        """The UUIDs that NVML tells of a node's resource, each as often as it is offered; none where it only offers."""
        return self.nodes[node.name].get(node.resource, ())

    def devices(self, node: Node) -> int:
        """How many GPUs or MIG devices these are."""
        return len(set(self.listed(node)))

    def pods(self, node: Node) -> int:
        """How many pods prove what is free of a node's resource."""
        shared = self.devices(node) < len(self.listed(node))
        return min(node.free, PODS_PER_SHARED * self.devices(node)) if shared else node.free


@dataclass(frozen=True)
class Node:
    """A node's GPUs, or its MIG devices of one kind; a node with several resources is several of these.

    users  the pods, namespace/name, that hold some, with how many each
    """

    name: str
    capacity: int
    allocatable: int
    users: Mapping[str, int]
    resource: str = WHOLE

    def __str__(self) -> str:
        """For people; most nodes have whole GPUs alone."""
        return self.name if self.resource == WHOLE else f"{self.name} {self.resource}"

    @property
    def place(self) -> tuple[str, str]:
        """Its node and resource."""
        return self.name, self.resource

    @property
    def suffix(self) -> str:
        """For the names of pods: a label of DNS."""
        kind = self.resource.removeprefix("nvidia.com/").replace(".", "-")
        return self.name if self.resource == WHOLE else f"{kind}-{self.name}"

    @property
    def used(self) -> int:
        """GPUs that pods hold."""
        return sum(self.users.values())

    @property
    def free(self) -> int:
        """GPUs that a pod could have now."""
        return max(0, self.allocatable - self.used)


@dataclass(frozen=True)
class Sight:
    """What a pod of ours saw: UUIDs, or the problem."""

    pod: PodState
    uuids: tuple[str, ...] = ()
    problem: str | None = None
    resource: str = WHOLE

    @property
    def place(self) -> tuple[str, str]:
        """Its node and resource."""
        return self.pod.node, self.resource


def compare(cluster: Cluster, wanted: Wanted) -> list[Check]:
    """What is there, beside what NVML tells; no pod is run.

    Raises GroundworkError when the API server fails.
    """
    return [allocatable_equals_nvml(observe(cluster, wanted), wanted)]


def prove(cluster: Cluster, wanted: Wanted, waiter: Waiter) -> list[Check]:
    """Run a pod for every free GPU, all at once, then one too many on each node; the checks are those of PROVED.

    Raises GroundworkError when the API server, or the namespace for the proof, fails.
    """
    with proof.namespace(cluster, wanted.namespace, waiter):
        nodes = observe(cluster, wanted)
        places = {f"gpu-{node.suffix}-{number}": node for node in nodes for number in range(wanted.pods(node))}
        for name, node in places.items():
            _create(cluster, wanted, node, name)
        pods = _wait(cluster, wanted, waiter, places)
        sights = [_look(cluster, wanted, pod, places[pod.name].resource) for pod in pods]
        seen = pods_see_their_gpu(sights, observe(cluster, wanted), wanted)
        return [gpus_in_use(nodes), seen, _one_more(cluster, wanted, waiter, nodes)]


def observe(cluster: Cluster, wanted: Wanted) -> list[Node]:
    """The GPUs of the wanted nodes by resource, and who holds them, without pods of our own."""
    pods = cluster.get("/api/v1/pods", fieldSelector=FINISHED)["items"]
    others = [pod for pod in pods if pod["metadata"]["namespace"] != wanted.namespace]
    found = {node["metadata"]["name"]: node for node in cluster.get("/api/v1/nodes")["items"]}
    return [
        _node(name, found.get(name, {}), others, resource)
        for name in sorted(wanted.nodes)
        for resource in _resources(wanted.nodes[name], found.get(name, {}))
    ]


def room(cluster: Cluster, resource: str, count: int, ours: str = "") -> bool:
    """Whether a pod that asks for so many would find a node; what pods hold whose namespace/name begins so is free."""
    names = [node["metadata"]["name"] for node in cluster.get("/api/v1/nodes")["items"]]
    found = observe(cluster, Wanted({name: {resource: ()} for name in names}, image=""))
    nodes = [node for node in found if node.resource == resource]
    return count == 0 or any(node.free + _held(node, ours) >= count for node in nodes)


def _held(node: Node, prefix: str) -> int:
    return sum(count for pod, count in node.users.items() if prefix and pod.startswith(prefix))


def requested(pod: Object, resource: str) -> int:
    """What a pod holds of an extended resource: its containers together, or the hungriest of its init containers.

    Init containers that stay (restartPolicy Always) count like containers.
    https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers
    """
    spec = pod["spec"]
    first = spec.get("initContainers", ())
    staying = [container for container in first if container.get("restartPolicy") == "Always"]
    passing = [container for container in first if container.get("restartPolicy") != "Always"]
    together = sum(_limit(container, resource) for container in [*spec["containers"], *staying])
    return max([together, *(_limit(container, resource) for container in passing)])


def allocatable_equals_nvml(nodes: Iterable[Node], wanted: Wanted) -> Check:
    """Per node, as many allocatable as there are shares of what NVML sees. Capacity counts unhealthy GPUs too."""
    found: list[str] = []
    nothing: list[str] = []
    faults: list[str] = []
    for node in nodes:
        seen, devices = len(wanted.listed(node)), wanted.devices(node)
        shares = f", each shared by {seen // devices}" if devices < seen else ""
        text = f"{node}: {node.allocatable} allocatable of {node.capacity}, NVML sees {devices}{shares}"
        (faults if node.allocatable != seen else found if seen else nothing).append(text)
    return judge(
        "kubernetes_gpu.allocatable_equals_nvml",
        not faults,
        "; ".join(faults or found or nothing),
        "as many as NVML sees, on every node",
        LOOK_AGAIN,
    )


def gpus_in_use(nodes: Iterable[Node]) -> Check:
    """GPUs that others hold are named, never waited for."""
    busy = [f"{node}: {count} by {pod}" for node in nodes for pod, count in sorted(node.users.items())]
    name = "kubernetes_gpu.all_gpus_could_be_proved"
    return skipped(name, f"in use, so not proved: {', '.join(busy)}") if busy else ok(name, "no GPU is in use")


def _create(cluster: Cluster, wanted: Wanted, node: Node, name: str, count: int = 1) -> None:
    body = proof.pod(name, node.name, wanted.image, ["sleep"], {node.resource: str(count)})
    if wanted.runtime_class:
        body["spec"]["runtimeClassName"] = wanted.runtime_class
    if wanted.cordoned:
        body["spec"]["tolerations"].append({"key": "node.kubernetes.io/unschedulable", "operator": "Exists"})
    cluster.create(f"/api/v1/namespaces/{wanted.namespace}/pods", body)


def _wait(cluster: Cluster, wanted: Wanted, waiter: Waiter, places: Mapping[str, Node]) -> list[PodState]:
    """Until all pods run, or cannot: a GPU that somebody took meanwhile is not waited for."""

    def done(pods: list[PodState]) -> bool:
        waiting = [pod for pod in pods if not pod.settled]
        if len(pods) < len(places) or not all(pod.unschedulable for pod in waiting):
            return False
        return not waiting or not _has_room(cluster, wanted, pods, places)

    return waiter.until(lambda: proof.states(cluster, wanted.namespace), done)[0]


def _has_room(cluster: Cluster, wanted: Wanted, pods: Iterable[PodState], places: Mapping[str, Node]) -> bool:
    """Whether the scheduler has yet to find a free GPU for one of the pods that wait."""
    waiting = {str(places[pod.name]) for pod in pods if not pod.settled}
    ours = Counter(str(places[pod.name]) for pod in pods if pod.ready)
    return any(node.free > ours[str(node)] for node in observe(cluster, wanted) if str(node) in waiting)


def _look(cluster: Cluster, wanted: Wanted, pod: PodState, resource: str) -> Sight:
    if not pod.ready:
        return Sight(pod, problem=pod.problem or f"{pod.phase} after the time given", resource=resource)
    answer = cluster.ask(wanted.namespace, pod.name, ["gpus"], ANSWER_SECONDS)
    if "gpus" not in answer:
        return Sight(pod, problem=str(answer.get("error", answer)), resource=resource)
    return Sight(pod, tuple(gpu["uuid"] for gpu in answer["gpus"]), resource=resource)


def pods_see_their_gpu(sights: Sequence[Sight], nodes: Iterable[Node], wanted: Wanted) -> Check:
    """Each pod exactly one GPU, none by more pods than share it, all NVML's; with those in use they make up the node.

    nodes  as they are after the pods ran: what others took meanwhile is not missing
    """
    known = list(nodes)
    faults = [fault for node in known for fault in _faults(node, sights, wanted.listed(node))]
    seen = [(node, [sight.uuids for sight in sights if sight.uuids and sight.place == node.place]) for node in known]
    found = [(str(node), len(uuids), len(set(uuids))) for node, uuids in seen if uuids]
    return judge(
        "kubernetes_gpu.pods_see_their_gpu",
        not faults,
        "; ".join(faults) or ", ".join(f"{node}: {pods} pods, {gpus} GPUs" for node, pods, gpus in found),
        "a pod for each free GPU, two where it is shared, each seeing one, together those that NVML lists",
        "A pod that does not run says why; one that sees none, or others' GPUs, has no CDI: see the device plugin's "
        "deviceListStrategy and `microk8s ctr` versions; role container_toolkit sets up the runtime.",
    )


def _faults(node: Node, sights: Iterable[Sight], listed: Sequence[str]) -> list[str]:
    """What is wrong with one resource of a node; empty where all is well."""
    ours = [sight for sight in sights if sight.place == node.place]
    ran = [sight for sight in ours if sight.problem is None]
    full = len(ran) + node.used >= node.allocatable  # then a pod that found no place is nobody's fault
    seen, offered = Counter(uuid for sight in ran for uuid in sight.uuids), Counter(listed)
    missing = sorted(set(listed) - set(seen))
    faults = [
        f"{sight.pod.name}: {sight.problem}"
        for sight in ours
        if sight.problem and not (full and sight.pod.unschedulable)
    ]
    faults += [f"{sight.pod.name} sees {len(sight.uuids)} GPUs" for sight in ran if len(sight.uuids) != 1]
    faults += [
        f"{uuid} is seen by {count} pods of {node}"
        for uuid, count in sorted(seen.items())
        if count > max(1, offered[uuid])
    ]
    faults += [f"{uuid}, seen on {node}, is none of NVML's list" for uuid in sorted(set(seen) - set(listed))]
    if len(missing) > node.used and not faults:
        faults.append(f"{node}: no pod got {', '.join(missing)}")
    return faults


def _one_more(cluster: Cluster, wanted: Wanted, waiter: Waiter, nodes: Iterable[Node]) -> Check:
    """A pod that asks for one more than is left stays Pending, and the scheduler says why."""
    names = {f"one-more-{node.suffix}": node for node in nodes if node.allocatable}
    for name, node in names.items():
        _create(cluster, wanted, node, name, node.free - wanted.pods(node) + 1)

    def judged(pods: list[PodState]) -> bool:
        return len(pods) == len(names) and all(pod.unschedulable or pod.settled for pod in pods)

    def more() -> list[PodState]:
        return [pod for pod in proof.states(cluster, wanted.namespace) if pod.name in names]

    pods, in_time = waiter.until(more, judged)
    return one_more_waits(pods, in_time)


def one_more_waits(pods: Sequence[PodState], in_time: bool) -> Check:
    """Judge the pods that are one too many."""
    name = "kubernetes_gpu.one_more_waits"
    if not pods:
        return skipped(name, "no node has an allocatable GPU")
    wrong = [f"{pod.name} is {pod.phase}" for pod in pods if not pod.unschedulable]
    wanted = "stays Pending with the scheduler's reason"
    if not wrong and in_time:
        return ok(name, "; ".join(sorted({f"{pod.node}: {pod.problem}" for pod in pods})), wanted)
    return failed(
        name,
        "; ".join(wrong) or "the scheduler said nothing",
        wanted,
        "If somebody released a GPU meanwhile, run again. Else the node offers more than it has: see its allocatable "
        "and the device plugin's sharing.",
    )


def _resources(listed: Iterable[str], found: Object) -> list[str]:
    """A node's resources: those that NVML tells of, and what is offered beside although it tells of none."""
    offered = found.get("status", {}).get("allocatable", {})
    return sorted({*listed, *filter(OFFERED.fullmatch, offered)})


def _node(name: str, found: Object, pods: Iterable[Object], resource: str) -> Node:
    status = found.get("status", {})
    here = [pod for pod in pods if pod["spec"].get("nodeName") == name]
    holders = {f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": requested(pod, resource) for pod in here}
    return Node(
        name=name,
        capacity=int(status.get("capacity", {}).get(resource, 0)),
        allocatable=int(status.get("allocatable", {}).get(resource, 0)),
        users={pod: count for pod, count in holders.items() if count},
        resource=resource,
    )


def _limit(container: Object, resource: str) -> int:
    """Requests of extended resources equal their limits; naming the limit alone is enough."""
    return int(container.get("resources", {}).get("limits", {}).get(resource, 0))
