"""Burn-in in pods: one on each free GPU, all at once; what is in use is left alone.

The namespace and its pods go at the end, whatever happens, and give way to everybody (kubernetes/proof.py).
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ansible.module_utils.groundwork.burn_in import program
from ansible.module_utils.groundwork.burn_in.judge import Told
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes import gpus, proof
from ansible.module_utils.groundwork.kubernetes.cluster import Cluster, Object
from ansible.module_utils.groundwork.kubernetes.gpus import WHOLE, Node
from ansible.module_utils.groundwork.kubernetes.proof import PodState
from ansible.module_utils.groundwork.waiting import Waiter

FOLDER = "/opt/burn-in"
COMMAND = ("python3", f"{FOLDER}/burn_in.py")
"""What is run in pods; the image brings torch."""
VOLUME = "burn-in"
PORT = 29500
LOOK_SECONDS = 30.0
GRACE_SECONDS = 120.0
"""How much later than its time a program may answer: importing torch on a busy host takes a while."""
USER = 1000
"""Who owns Python in Ray's images."""


@dataclass(frozen=True)
class Wanted:
    """The nodes and what NVML tells of them, by resource; and how to test.

    seconds  for all tests of a GPU, and for all all-reduces together
    """

    nodes: Mapping[str, Mapping[str, Sequence[str]]]
    image: str
    namespace: str = "groundwork-burn-in"
    seconds: float = 60.0
    all_reduce_seconds: float = 15.0
    memory_mib: int = 8192

    @property
    def seen(self) -> gpus.Wanted:
        """As what tells who holds GPUs wants it."""
        return gpus.Wanted(self.nodes, self.image, self.namespace)


@dataclass(frozen=True)
class Plan:
    """Pods by their name, each with its node; and what is left alone, with the reason."""

    pods: Mapping[str, str]
    left: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What the pods told of their GPUs, and of sums across pods and across GPUs, with why there is none."""

    plan: Plan
    told: tuple[Told, ...]
    across_pods: tuple[Told, ...] = ()
    pods_not_run: str = ""
    across_gpus: tuple[Told, ...] = ()
    gpus_not_run: str = ""


def plan(nodes: Iterable[Node], wanted: Wanted) -> Plan:
    """A pod for each whole GPU that nobody holds or shares."""
    pods: dict[str, str] = {}
    left: list[str] = []
    for node in nodes:
        listed = wanted.seen.listed(node)
        if node.resource != WHOLE:
            left += [f"{node}: {node.allocatable}, cut or shared"] if node.allocatable else []
        elif len(listed) > len(set(listed)):
            left.append(f"{node}: shared, so others may be at work on them")
        else:
            left += [f"{node}: {count} in use by {pod}" for pod, count in sorted(node.users.items())]
            pods |= {f"gpu-{node.name}-{number}": node.name for number in range(node.free)}
    return Plan(pods, tuple(left))


def observe(cluster: Cluster, wanted: Wanted) -> Plan:
    """What would be done; nothing is."""
    return plan(gpus.observe(cluster, wanted.seen), wanted)


def run(cluster: Cluster, programs: Callable[[], Cluster], wanted: Wanted, waiter: Waiter) -> Outcome:
    """Test every free GPU, then sums across pods, then sums across the GPUs of each node.

    cluster   asks pods for what they see (kubernetes/pod_program.py)
    programs  makes clients that run the burn-in in pods: one for each thread, since such a client is one stream

    Raises GroundworkError where the API server, or the namespace, fails.
    """
    with proof.namespace(cluster, wanted.namespace, waiter):
        found = observe(cluster, wanted)
        _give_program(cluster, wanted)
        for name, node in found.pods.items():
            _create(cluster, wanted, name, node, 1)
        pods = _wait(cluster, wanted, waiter, found.pods)
        seen = {pod.name: _look(cluster, wanted, pod) for pod in pods}
        told = _ask(
            programs, wanted, pods, seen, lambda _: ["gpus", "--seconds", f"{wanted.seconds:g}"], wanted.seconds
        )
        across, pods_not_run = _across_pods(programs, wanted, pods, seen)
        together, gpus_not_run = _across_gpus(cluster, programs, wanted, waiter, told)
        return Outcome(found, tuple(told), across, pods_not_run, together, gpus_not_run)


def _give_program(cluster: Cluster, wanted: Wanted) -> None:
    body = {"kind": "ConfigMap", "metadata": {"name": VOLUME}, "data": {"burn_in.py": inspect.getsource(program)}}
    cluster.create(f"/api/v1/namespaces/{wanted.namespace}/configmaps", body)


def _create(cluster: Cluster, wanted: Wanted, name: str, node: str, count: int) -> None:
    cluster.create(f"/api/v1/namespaces/{wanted.namespace}/pods", pod(wanted, name, node, count))


def pod(wanted: Wanted, name: str, node: str, count: int) -> Object:
    """A pod of proofs, with torch's memory, places to write, and the program."""
    body = proof.pod(name, node, wanted.image, ["sleep"], {WHOLE: str(count)})
    body["spec"]["securityContext"] |= {"runAsUser": USER, "runAsGroup": USER}
    [container] = body["spec"]["containers"]
    memory = f"{wanted.memory_mib * count}Mi"
    container["resources"] = {
        "requests": {"cpu": "100m", "memory": "512Mi", WHOLE: str(count)},
        "limits": {"memory": memory, WHOLE: str(count)},
    }
    container["env"] = [{"name": "HOME", "value": "/tmp"}]
    places = {VOLUME: FOLDER, "tmp": "/tmp", "shm": "/dev/shm"}
    container["volumeMounts"] += [{"name": volume, "mountPath": path} for volume, path in places.items()]
    body["spec"]["volumes"] += [
        {"name": VOLUME, "configMap": {"name": VOLUME}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
    ]
    return body


def _wait(cluster: Cluster, wanted: Wanted, waiter: Waiter, places: Mapping[str, str]) -> list[PodState]:
    """Until all pods run, or cannot: a GPU that somebody took meanwhile is not waited for."""

    def ours() -> list[PodState]:
        return [pod for pod in proof.states(cluster, wanted.namespace) if pod.name in places]

    def done(pods: list[PodState]) -> bool:
        waiting = [pod for pod in pods if not pod.settled]
        if len(pods) < len(places) or not all(pod.unschedulable for pod in waiting):
            return False
        running = Counter(pod.node for pod in pods if pod.ready)
        free = {
            node.name: node.free - running[node.name]
            for node in gpus.observe(cluster, wanted.seen)
            if node.resource == WHOLE
        }
        return not any(free.get(pod.node, 0) > 0 for pod in waiting)

    return waiter.until(ours, done)[0]


def _look(cluster: Cluster, wanted: Wanted, pod: PodState) -> str:
    """The UUID of the GPU that a pod was given, as NVML tells; the pod's name where it does not."""
    if not pod.ready:
        return pod.name
    listed = cluster.ask(wanted.namespace, pod.name, ["gpus"], LOOK_SECONDS).get("gpus") or []
    return ", ".join(gpu["uuid"] for gpu in listed) or pod.name


def _ask(
    programs: Callable[[], Cluster],
    wanted: Wanted,
    pods: Sequence[PodState],
    seen: Mapping[str, str],
    words: Callable[[int], Sequence[str]],
    seconds: float,
) -> list[Told]:
    """Run the program in all pods at once; `words` by the pod's number."""

    def one(number: int) -> Told:
        pod = pods[number]
        if not pod.ready:
            return Told(pod.node, seen[pod.name], problem=pod.problem or f"{pod.phase} after the time given")
        answer = programs().ask(wanted.namespace, pod.name, words(number), seconds + GRACE_SECONDS)
        return _told(pod.node, seen[pod.name], answer)

    with ThreadPoolExecutor(max(1, len(pods))) as pool:
        return list(pool.map(one, range(len(pods))))


def _told(node: str, gpu: str, answer: Object) -> Told:
    if "results" not in answer:
        return Told(node, gpu, problem=str(answer.get("error", answer)).strip().splitlines()[-1])
    return Told(node, gpu, tuple(answer["results"]), str(answer.get("reason") or ""))


def _across_pods(
    programs: Callable[[], Cluster], wanted: Wanted, pods: Sequence[PodState], seen: Mapping[str, str]
) -> tuple[tuple[Told, ...], str]:
    """A sum over all pods by gloo, on processors: the way between them, and that each is heard."""
    ready = [pod for pod in pods if pod.ready]
    if len(ready) < 2:
        return (), f"{len(ready)} pods run"
    address = ready[0].address or ""
    master = f"[{address}]:{PORT}" if ":" in address else f"{address}:{PORT}"
    shared = ["--world", str(len(ready)), "--master", master, "--seconds", f"{wanted.all_reduce_seconds:g}"]
    told = _ask(
        programs,
        wanted,
        ready,
        seen,
        lambda number: ["all-reduce", "--rank", str(number), *shared],
        wanted.all_reduce_seconds,
    )
    return tuple(told), ""


def _across_gpus(
    cluster: Cluster, programs: Callable[[], Cluster], wanted: Wanted, waiter: Waiter, told: Sequence[Told]
) -> tuple[tuple[Told, ...], str]:
    """A sum over the GPUs of each node by NCCL, in one pod that has them all: NVLink is not there between pods."""
    counts = Counter(each.node for each in told if each.results)
    nodes = {f"all-{node}": node for node, count in sorted(counts.items()) if count > 1}
    if not nodes:
        reasons = sorted({each.reason or each.problem for each in told} - {""})
        return (), "; ".join(reasons) or "no node has two free GPUs"
    _end(cluster, wanted, waiter)
    for name, node in nodes.items():
        _create(cluster, wanted, name, node, counts[node])
    pods = _wait(cluster, wanted, waiter, nodes)
    words = ["all-reduce-gpus", "--seconds", f"{wanted.all_reduce_seconds:g}"]
    seen = {pod.name: f"{counts[pod.node]} GPUs" for pod in pods}
    return tuple(_ask(programs, wanted, pods, seen, lambda _: words, wanted.all_reduce_seconds)), ""


def _end(cluster: Cluster, wanted: Wanted, waiter: Waiter) -> None:
    """Give the GPUs back, to have those of a node in one pod."""
    path = f"/api/v1/namespaces/{wanted.namespace}/pods"
    for pod in proof.states(cluster, wanted.namespace):
        cluster.delete(f"{path}/{pod.name}")
    waiter.need(
        lambda: [pod.name for pod in proof.states(cluster, wanted.namespace)],
        lambda names: not names,
        lambda names: GroundworkError(
            f"Pods {', '.join(names)} do not end", f"See `kubectl get pods -n {wanted.namespace}`."
        ),
    )
