"""The network of pods, proved: addresses and Services across nodes, names, and NetworkPolicies that block."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ansible.module_utils.groundwork.check import Check, judge, ok
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes import proof
from ansible.module_utils.groundwork.kubernetes.cluster import Cluster, Object
from ansible.module_utils.groundwork.kubernetes.proof import PodState
from ansible.module_utils.groundwork.waiting import Waiter

PORT = 8080
SERVICE = "verify"
PROVED = tuple(
    f"kubernetes_network.{name}"
    for name in ("pods_reach_pods_across_nodes", "service_by_name_across_nodes", "policy_blocks", "policy_allows")
)
"""The checks of `prove`, in their order."""
NEIGHBOURS = 3
"""How many other nodes each node tries: all pairs of fifty nodes would be 2450 requests."""
FETCH_SECONDS = 15.0
"""The pods' program gives up after 5; the rest is the way through the API server."""


@dataclass(frozen=True)
class Wanted:
    """Between which nodes, and how."""

    nodes: Sequence[str]
    image: str
    namespace: str = "groundwork-verify-network"


@dataclass(frozen=True)
class Proof:
    """A proof under way: what it asks, where, and how long it waits for a condition."""

    cluster: Cluster
    wanted: Wanted
    waiter: Waiter

    def create(self, collection: str, body: Object) -> None:
        """Make an object in the proof's namespace; `collection` is a path below the API group's version."""
        group, plural = collection.rsplit("/", 1)
        self.cluster.create(f"{group}/namespaces/{self.wanted.namespace}/{plural}", body)

    def fetch(self, pod: str, host: str) -> Object:
        """What an HTTP request from a pod brings, or its error."""
        url = f"http://{f'[{host}]' if ':' in host else host}:{PORT}/"
        return self.cluster.ask(self.wanted.namespace, pod, ["fetch", url], FETCH_SECONDS)


def prove(cluster: Cluster, wanted: Wanted, waiter: Waiter) -> list[Check]:
    """All checks, those of PROVED.

    Raises GroundworkError when the API server fails, or the pods do not run in time.
    """
    with proof.namespace(cluster, wanted.namespace, waiter):
        under_way = Proof(cluster, wanted, waiter)
        servers = _start(under_way)
        return [
            pods_reach_pods(under_way, servers),
            service_by_name(under_way, servers),
            *network_policy(under_way, servers),
        ]


def pods_reach_pods(under_way: Proof, servers: Sequence[PodState]) -> Check:
    """From each node to pods of the next ones by address."""
    name = "kubernetes_network.pods_reach_pods_across_nodes"
    pairs = [(client, server) for client in servers for server in neighbours(client, servers)]
    if not pairs:
        return ok(name, "there is one node alone")
    faults = [fault for client, server in pairs if (fault := _unreachable(under_way, client, server))]
    return judge(
        name,
        not faults,
        "; ".join(faults) or f"{len(pairs)} ways between {len(servers)} nodes",
        "every pod tried answers",
        "See that nothing between the hosts drops pod traffic (UDP 4789 for VXLAN), that `--node-ip` is the right "
        "interface's, and `kubectl get pods -n kube-system` for the network plugin.",
    )


def service_by_name(under_way: Proof, servers: Sequence[PodState]) -> Check:
    """From each node by the Service's name to a pod of another node, where there is one."""
    faults = [fault for client in servers if (fault := _service_fault(under_way, client, len(servers)))]
    return judge(
        "kubernetes_network.service_by_name_across_nodes",
        not faults,
        "; ".join(faults) or f"answers on {len(servers)} nodes",
        "the Service's name resolves on every node, and leads to pods of other nodes",
        "See that the dns addon is enabled and its pod runs, that kubelet has --cluster-dns, and kube-proxy's log.",
    )


def network_policy(under_way: Proof, servers: Sequence[PodState]) -> tuple[Check, Check]:
    """A policy that allows nobody blocks; one more that allows the client opens again."""
    server = servers[-1]
    under_way.create("/apis/networking.k8s.io/v1/networkpolicies", policy("deny", []))
    blocked, was_blocked = _await(under_way, server, lambda answer: "error" in answer)
    allow = [{"from": [{"podSelector": {"matchLabels": {"groundwork/part": "client"}}}]}]
    under_way.create("/apis/networking.k8s.io/v1/networkpolicies", policy("allow", allow))
    opened, was_opened = _await(under_way, server, lambda answer: "error" not in answer)
    return (
        judge(
            "kubernetes_network.policy_blocks",
            was_blocked,
            f"request refused: {blocked['error']}" if was_blocked else "the request passed a policy that allows nobody",
            "a NetworkPolicy that allows nobody blocks",
            "The network plugin does not enforce NetworkPolicies: see that Calico (or kube-network-policies) runs.",
        ),
        judge(
            "kubernetes_network.policy_allows",
            was_opened,
            "the request passes" if was_opened else str(opened["error"]),
            "a NetworkPolicy that allows the client lets it pass",
            "See the network plugin's log.",
        ),
    )


def neighbours(client: PodState, servers: Sequence[PodState]) -> list[PodState]:
    """The next few servers after the client's own, in a ring: every node is tried by as many as it tries."""
    place = [server.name for server in servers].index(client.name)
    return [*servers[place + 1 :], *servers[:place]][:NEIGHBOURS]


def policy(name: str, ingress: Sequence[Object]) -> Object:
    """A NetworkPolicy for the servers."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "podSelector": {"matchLabels": {"groundwork/part": "server"}},
            "policyTypes": ["Ingress"],
            "ingress": list(ingress),
        },
    }


def _start(under_way: Proof) -> list[PodState]:
    """A server on each node, behind one Service, and a client beside the first; the servers, once all are ready."""
    names = sorted(under_way.wanted.nodes)
    for node in names:
        _create(under_way, f"server-{node}", node, "server", ["serve", str(PORT)])
    _create(under_way, "client", names[0], "client", ["sleep"])
    service = {"selector": {"groundwork/part": "server"}, "ports": [{"port": PORT}]}
    under_way.create("/api/v1/services", {"kind": "Service", "metadata": {"name": SERVICE}, "spec": service})
    pods = under_way.waiter.need(
        lambda: proof.states(under_way.cluster, under_way.wanted.namespace),
        lambda pods: len(pods) == len(names) + 1 and all(pod.ready and pod.address for pod in pods),
        _not_running,
    )
    return [pod for pod in pods if pod.name != "client"]


def _create(under_way: Proof, name: str, node: str, part: str, words: Sequence[str]) -> None:
    body = proof.pod(name, node, under_way.wanted.image, words)
    body["metadata"]["labels"]["groundwork/part"] = part
    if part == "server":
        body["spec"]["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": PORT}, "periodSeconds": 1}
    under_way.create("/api/v1/pods", body)


def _not_running(pods: Sequence[PodState]) -> GroundworkError:
    waiting = "; ".join(f"{pod.name}: {pod.problem or pod.phase}" for pod in pods if not pod.ready)
    return GroundworkError(
        f"Pods for the proof of the network do not run: {waiting}",
        "See that the image (site_proof_image) can be pulled on every node, and that the nodes have room.",
    )


def _unreachable(under_way: Proof, client: PodState, server: PodState) -> str | None:
    answer, reached = under_way.waiter.until(
        lambda: under_way.fetch(client.name, str(server.address)), lambda found: "error" not in found
    )
    return None if reached else f"{client.node} to {server.node} ({server.address}): {answer['error']}"


def _service_fault(under_way: Proof, client: PodState, count: int) -> str | None:
    """Which pod answers is left to chance, so the Service is asked until another node's does."""

    def good(answer: Object) -> bool:
        server = server_of(answer)
        return server != "" and (count == 1 or not client.name.startswith(server))  # host names end at 63 characters

    answer, reached = under_way.waiter.until(lambda: under_way.fetch(client.name, SERVICE), good)
    return None if reached else f"{client.node}: {answer.get('error', 'only its own pod answers')}"


def server_of(answer: Object) -> str:
    """The host name of the server that answered; "" for an error."""
    try:
        return str(json.loads(answer["body"])["hostname"])
    except (KeyError, ValueError):
        return ""


def _await(under_way: Proof, server: PodState, good: Callable[[Object], bool]) -> tuple[Object, bool]:
    """Policies take effect some time after they are made."""
    return under_way.waiter.until(lambda: under_way.fetch("client", str(server.address)), good)
