"""Every port that the platform opens, and what strangers get there: those in a pod of another namespace, those outside.

The list comes from the sockets themselves: whatever a process of a pod listens on, whether a manifest names it or not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pods
import pytest
from site_under_test import Lab, Site

NAMESPACES = ("monitoring", "object-store", "postgresql", "cnpg-system", "mlflow", "dvc", "ray", "kuberay",
              "local-path-storage")  # fmt: skip
HOSTS = ("n1", "n2", "n3")

# Run on a host: the ports that processes of each pod listen on for others, by the pod's UID, as their namespaces tell.
LISTENING = r"""
import collections, glob, json, re
found = collections.defaultdict(set)
for path in glob.glob("/proc/[0-9]*/cgroup"):
    try:
        pod = re.search(r"/pod([0-9a-f-]{36})", open(path).read())
        tables = pod and [open(path.replace("cgroup", f"net/{name}")).read() for name in ("tcp", "tcp6")]
    except OSError:
        continue
    for line in "".join(tables or []).splitlines():
        words = line.split()
        if words[3] == "0A" and not words[1].startswith("0100007F"):
            found[pod[1]].add(int(words[1].rsplit(":", 1)[1], 16))
print(json.dumps({pod: sorted(ports) for pod, ports in found.items()}))
"""
# Run by a stranger: what places answer to requests without a login, encrypted or not.
KNOCK = r"""
import concurrent.futures, json, socket, ssl, sys, urllib.error, urllib.request
trusting = ssl._create_unverified_context()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusting))
GET = ["/", "/metrics", "/probe?target=127.0.0.1:22", "/api/v1/query?query=up", "/debug/pprof/cmdline", "/api/jobs/",
       "/api/2.0/mlflow/experiments/search?max_results=1", "/graphql", "/list-users", "/-/routes", "/logs"]
ASKED = [("GET", path) for path in GET] + [("POST", "/-/quit"), ("POST", "/-/reload"), ("POST", "/api/jobs/")]
def reached(place):
    host, port = place.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
        return place
    except OSError:
        return None
def knock(door):
    method, url = door
    try:
        request = urllib.request.Request(url, b"{}" if method == "POST" else None, method=method)
        with opener.open(request, timeout=8) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except Exception as error:
        return type(error).__name__
with concurrent.futures.ThreadPoolExecutor(32) as pool:
    open_ones = [place for place in pool.map(reached, sys.argv[1:]) if place]
    doors = [(place, method, f"{scheme}://{place}{path}")
             for place in open_ones for scheme in ("https", "http") for method, path in ASKED]
    answers = list(pool.map(knock, [door[1:] for door in doors]))
told = {place: {} for place in open_ones}
for (place, method, url), answer in zip(doors, answers):
    told[place][f"{method} {url.split(place)[0]}{url.split(place)[1]}"] = answer
print(json.dumps(told))
"""
REFUSALS = {400, 401, 403, 404, 405}
"""400: words that are not encrypted, at a port that is; 404 and 405: nothing is there, or not by that verb."""


@dataclass(frozen=True)
class Doors:
    """Places, each `host:port`, by what they belong to: `namespace/name` of a pod or a Service, or `node`."""

    places: dict[str, str]

    def of(self, *names: str) -> set[str]:
        """The places whose owners' names begin so."""
        return {place for place, owner in self.places.items() if owner.startswith(names)}


def listed(site: Site, kind: str) -> list[dict[str, Any]]:
    everything = json.loads(site.kubectl("get", kind, "-A", "-o", "json"))["items"]
    return [each for each in everything if each["metadata"]["namespace"] in NAMESPACES]


@pytest.fixture(scope="module", autouse=True)
def training_goes_on(request: pytest.FixtureRequest) -> None:
    """Begin the training here, where a test will want it: it takes minutes, and its pods open doors too."""
    if any(item.path.stem == "test_3_training" for item in request.session.items):
        request.getfixturevalue("training_begun")


@pytest.fixture(scope="module")
def doors(site: Site, lab: Lab) -> Doors:
    """All of them."""
    places: dict[str, str] = {}
    ports: dict[str, list[int]] = {}
    for host in HOSTS:
        ports |= json.loads(lab.shell(host, f"python3 - << 'END'\n{LISTENING}\nEND"))
    for each in listed(site, "pods"):
        if each["status"].get("podIP") and not each["spec"].get("hostNetwork"):
            owner = f"{each['metadata']['namespace']}/{each['metadata']['name']}"
            places |= {f"{each['status']['podIP']}:{port}": owner for port in ports.get(each["metadata"]["uid"], ())}
    addresses = [lab.shell(host, "hostname -I").split()[0] for host in HOSTS]
    for each in listed(site, "services"):
        owner = f"{each['metadata']['namespace']}/{each['metadata']['name']}"
        for port in each["spec"]["ports"]:
            if each["spec"]["clusterIP"] != "None":
                places[f"{each['spec']['clusterIP']}:{port['port']}"] = owner
            if port.get("nodePort"):
                places |= {f"{address}:{port['nodePort']}": f"node {owner}" for address in addresses}
    return Doors(places | {f"{address}:9100": "node node-exporter" for address in addresses})


@pytest.fixture(scope="module")
def stranger(site: Site) -> Iterator[str]:
    """A pod of a namespace that has no business with the platform."""
    pods.start(site, pods.pod("stranger"))
    yield "stranger"
    pods.delete(site, "stranger")


Answers = dict[str, dict[str, int | str]]


def lets_in(doors: Doors, answers: Answers) -> list[tuple[str, str, int | str]]:
    """Those who got anything but a refusal, silence, or the page on which Ray's dashboard asks for the token."""
    return [
        (doors.places[place], asked, answer)
        for place, each in answers.items()
        for asked, answer in each.items()
        if isinstance(answer, int) and answer not in REFUSALS
        if not ("ray/ray-entrance" in doors.places[place] and asked == "GET https:///")
    ]


def test_the_platform_listens_where_it_is_known_to(doors: Doors) -> None:
    """The list is not empty by mistake: each service has a door, Ray's head those that only Ray's pods may use."""
    owners = {owner.split("/")[0] for owner in doors.places.values()}
    assert {"monitoring", "object-store", "postgresql", "mlflow", "ray", "node monitoring", "node ray"} <= owners
    head = {int(place.rsplit(":", 1)[1]) for place in doors.of("ray/ray-head")}
    assert {6379, 8265, 10001} <= head


def test_a_pod_of_another_namespace_gets_nothing_without_a_login(site: Site, doors: Doors, stranger: str) -> None:
    command = ["exec", stranger, "--", "python3", "-c", KNOCK, *sorted(doors.places)]
    answers: Answers = json.loads(site.kubectl(*command, timeout=300))
    assert lets_in(doors, answers) == []
    assert not set(answers) & doors.of("postgresql/", "ray/ray-head", "monitoring/gpu-exporter", "kuberay/")


def test_somebody_outside_gets_nothing_without_a_login(doors: Doors) -> None:
    """At the nodes' addresses; those of pods and Services lead nowhere from outside."""
    places = doors.of("node ")
    command = [sys.executable, "-c", KNOCK, *sorted(places)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    answers: Answers = json.loads(done.stdout)
    assert lets_in(doors, answers) == []
    answering = {place for place, each in answers.items() if any(isinstance(answer, int) for answer in each.values())}
    assert answering == places, "there is one entrance a service, on every node"
