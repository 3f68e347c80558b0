"""The network of pods, proved."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from ansible.module_utils.groundwork.check import Check
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes import network
from ansible.module_utils.groundwork.kubernetes.cluster import Object
from ansible.module_utils.groundwork.kubernetes.network import Wanted
from ansible.module_utils.groundwork.kubernetes.proof import PodState

from tests.unit.module_utils.fakes import waiter
from tests.unit.module_utils.kubernetes.fake_cluster import FakeCluster

BLOCKED = {"error": "TimeoutError: timed out"}
NAMES = [
    "kubernetes_network.pods_reach_pods_across_nodes",
    "kubernetes_network.service_by_name_across_nodes",
    "kubernetes_network.policy_blocks",
    "kubernetes_network.policy_allows",
]


class Network(FakeCluster):
    """A cluster whose pods reach each other; each test breaks one thing."""

    def __init__(self, *nodes: str) -> None:
        super().__init__({node: [] for node in nodes})
        self.answer = self.fetch
        self.enforces = True
        self.dns = True
        self.local_only = False
        self.cut: set[str] = set()
        self.asked = 0

    def fetch(self, pod: str, words: Sequence[str]) -> Object:
        verb, url = words
        assert (verb, url.endswith(":8080/")) == ("fetch", True)
        self.asked += 1
        host = url.removeprefix("http://").removesuffix(":8080/")
        servers = {found["metadata"]["name"]: found["status"]["podIP"] for found in self.pods()}
        if host == "verify":
            return self._by_service(pod, servers)
        name = next(name for name, address in servers.items() if address == host)
        if pod == "client" and self.enforces and self._denied():
            return BLOCKED
        return BLOCKED if name in self.cut else self._page(name)

    def _by_service(self, pod: str, servers: dict[str, str]) -> Object:
        if not self.dns:
            return {"error": "gaierror: [Errno -3] Temporary failure in name resolution"}
        names = sorted(name for name in servers if name != "client")
        chosen = pod if self.local_only else names[self.asked % len(names)]
        return self._page(chosen)

    def _denied(self) -> bool:
        names = [policy["metadata"]["name"] for policy in self.made("NetworkPolicy")]
        return "deny" in names and "allow" not in names

    @staticmethod
    def _page(name: str) -> Object:
        return {"status": 200, "body": json.dumps({"hostname": name[:63], "node": None})}


def verify(cluster: Network) -> dict[str, Check]:
    wanted = Wanted(sorted(cluster.gpus), "docker.io/library/python:3.11")
    found = network.prove(cluster, wanted, waiter())
    assert [check.name for check in found] == NAMES
    assert cluster.objects == {}
    return {check.name.split(".")[1]: check for check in found}


def test_a_healthy_network_passes() -> None:
    found = verify(Network("n1", "n2", "n3"))
    assert {check.status for check in found.values()} == {"ok"}
    assert found["pods_reach_pods_across_nodes"].observed == "6 ways between 3 nodes"
    assert found["policy_blocks"].observed == "request refused: TimeoutError: timed out"


def test_one_node_has_no_across() -> None:
    found = verify(Network("n1"))
    assert [check.status for check in found.values()] == ["ok", "ok", "ok", "ok"]


def test_ways_that_are_cut_are_named() -> None:
    cluster = Network("n1", "n2", "n3")
    cluster.cut = {"server-n2"}
    found = verify(cluster)["pods_reach_pods_across_nodes"]
    assert found.status == "failed"
    assert "n1 to n2 (10.1.0.2): TimeoutError: timed out" in found.observed
    assert "n3 to n2" in found.observed
    assert "to n1" not in found.observed
    assert "4789" in found.remedy


def test_names_that_do_not_resolve_are_told() -> None:
    cluster = Network("n1", "n2")
    cluster.dns = False
    found = verify(cluster)["service_by_name_across_nodes"]
    assert found.status == "failed"
    assert "Temporary failure in name resolution" in found.observed
    assert "dns addon" in found.remedy


def test_a_service_that_answers_from_its_own_node_alone_is_a_fault() -> None:
    cluster = Network("n1", "n2")
    cluster.local_only = True
    found = verify(cluster)["service_by_name_across_nodes"]
    assert (found.status, found.observed) == ("failed", "n1: only its own pod answers; n2: only its own pod answers")


def test_policies_that_nobody_enforces_are_found() -> None:
    cluster = Network("n1", "n2")
    cluster.enforces = False
    found = verify(cluster)
    assert found["policy_blocks"].status == "failed"
    assert "does not enforce NetworkPolicies" in found["policy_blocks"].remedy
    assert found["policy_allows"].status == "ok"


def test_a_policy_that_never_opens_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Network("n1", "n2")
    monkeypatch.setattr(cluster, "_denied", lambda: bool(cluster.made("NetworkPolicy")))
    found = verify(cluster)["policy_allows"]
    assert (found.status, found.observed) == ("failed", "TimeoutError: timed out")


def test_pods_that_do_not_run_end_it_with_their_reasons() -> None:
    cluster = Network("n1", "n2")
    cluster.ready = False
    with pytest.raises(GroundworkError, match="server-n2: Pending") as raised:
        network.prove(cluster, Wanted(["n1", "n2"], "image"), waiter())
    assert "can be pulled" in raised.value.remedy
    assert cluster.objects == {}


def test_servers_are_behind_the_service_and_the_client_is_not() -> None:
    cluster = Network("n1", "n2")
    made: list[Object] = []
    cluster.on_create = made.append
    verify(cluster)
    parts = {
        one["metadata"]["name"]: one["metadata"]["labels"]["groundwork/part"] for one in made if one["kind"] == "Pod"
    }
    assert parts == {"server-n1": "server", "server-n2": "server", "client": "client"}
    (service,) = (one for one in made if one["kind"] == "Service")
    assert service["spec"]["selector"] == {"groundwork/part": "server"}
    policies = [one for one in made if one["kind"] == "NetworkPolicy"]
    assert [policy["spec"]["podSelector"] for policy in policies] == [
        {"matchLabels": {"groundwork/part": "server"}}
    ] * 2
    assert [len(policy["spec"]["ingress"]) for policy in policies] == [0, 1]


@pytest.mark.parametrize(
    ("count", "client", "wanted"),
    [
        (1, 0, []),
        (2, 0, [1]),
        (2, 1, [0]),
        (3, 1, [2, 0]),
        (6, 4, [5, 0, 1]),
    ],
)
def test_each_node_tries_the_next_few(count: int, client: int, wanted: list[int]) -> None:
    servers = [PodState(f"server-{index}", f"n{index}", "Running") for index in range(count)]
    assert network.neighbours(servers[client], servers) == [servers[index] for index in wanted]


@pytest.mark.parametrize("count", range(1, 12))
def test_every_node_is_tried_by_as_many_as_it_tries(count: int) -> None:
    servers = [PodState(f"server-{index}", f"n{index}", "Running") for index in range(count)]
    tried = [server.name for client in servers for server in network.neighbours(client, servers)]
    assert {tried.count(server.name) for server in servers} == {min(count - 1, network.NEIGHBOURS)}


@pytest.mark.parametrize(
    ("answer", "host"),
    [
        ({"status": 200, "body": '{"hostname": "server-n2", "node": null}'}, "server-n2"),
        ({"status": 200, "body": "<html>"}, ""),
        ({"status": 200, "body": '{"node": null}'}, ""),
        (BLOCKED, ""),
    ],
)
def test_who_answered(answer: Object, host: str) -> None:
    assert network.server_of(answer) == host


def test_addresses_of_six_are_written_in_brackets() -> None:
    cluster = Network("n1")
    asked: list[str] = []

    def answer(_pod: str, words: Sequence[str]) -> Object:
        asked.append(words[1])
        return {}

    cluster.answer = answer
    cluster.objects["/api/v1/namespaces/groundwork-verify-network/pods/p"] = {"kind": "Pod"}
    under_way = network.Proof(cluster, Wanted(["n1"], "image"), waiter())
    under_way.fetch("p", "fd00::7")
    under_way.fetch("p", "10.1.0.7")
    assert asked == ["http://[fd00::7]:8080/", "http://10.1.0.7:8080/"]
