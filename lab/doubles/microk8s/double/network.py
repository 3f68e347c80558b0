"""The pods' network, in the place of Calico: what its node agent does on every host.

Each node has its part of the pods' network (spec.podCIDR). From the list of nodes this keeps: the CNI configuration
(ptp: every pod has a route of its own, so that traffic within a host passes its netfilter too), routes to the other
nodes' pods, and rules. Policies are judged by kube-network-policies in a pod; its nft rules need CONFIG_NFT_QUEUE, so
the queue's rules are made here.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from . import arguments, kubernetes, node, system

PROTOCOL = "85"  # marks our routes, so that a route to a node that is gone is found again
QUEUE = "98"  # which kube-network-policies listens on, in cni.yaml
CHAIN = "MICROK8S-PODS"
SECONDS = 2.0


def keep(stop: threading.Event) -> None:
    """Keep the network as the cluster's list of nodes says, until told to stop."""
    done: tuple[Any, ...] = ()
    api: kubernetes.Api | None = None
    while not stop.wait(SECONDS):
        try:
            api = api or kubernetes.Api(node.credential("proxy.config"))
            done = _keep_once(api, done)
        except (OSError, KeyError, TypeError, subprocess.CalledProcessError):
            api = None  # no API server just now, or another one than before


def _keep_once(api: kubernetes.Api, done: tuple[Any, ...]) -> tuple[Any, ...]:
    nodes = api.get("/api/v1/nodes")["items"]
    own, routes = plan(nodes, node.hostname())
    wanted = (own, tuple(sorted(routes.items())))
    if own and wanted != done:
        _write_configuration(own)
        _route(routes)
        _rule()
        return wanted
    return done


def plan(nodes: Sequence[Mapping[str, Any]], name: str) -> tuple[str, dict[str, str]]:
    """This node's part of the pods' network, and the other nodes' parts with the address they are behind."""
    own, routes = "", {}
    for each in nodes:
        part, address = each.get("spec", {}).get("podCIDR"), kubernetes.internal_address(dict(each))
        if each["metadata"]["name"] == name:
            own = part or ""
        elif part and address:
            routes[part] = address
    return own, routes


def configuration(part: str) -> str:
    """The CNI configuration for a part of the pods' network."""
    # In /run: addresses are given back when the host boots, as its pods are gone then.
    ipam = {
        "type": "host-local",
        "dataDir": "/run/cni-ipam",
        "ranges": [[{"subnet": part}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "mtu": 1500, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "1.0.0", "name": "k8s-pod-network", "plugins": plugins}, indent=1)


def _write_configuration(part: str) -> None:
    file, text = node.arguments_file("cni-network/10-calico.conflist"), configuration(part)
    if not file.exists() or file.read_text() != text:
        node.write_private(file, text)


def _route(wanted: Mapping[str, str]) -> None:
    for part, address in wanted.items():
        system.succeeds("ip", "route", "replace", part, "via", address, "proto", PROTOCOL)
    for line in system.run("ip", "route", "show", "proto", PROTOCOL).splitlines():
        if (part := line.split()[0]) not in wanted:
            system.succeeds("ip", "route", "del", part, "proto", PROTOCOL)


def rules(pods: str) -> str:
    """Our chains for iptables-restore: pods leave with their host's address; new connections of pods are judged."""
    judge = f"-m conntrack --ctstate NEW -j NFQUEUE --queue-num {QUEUE} --queue-bypass"
    return f"""*nat
:{CHAIN} - [0:0]
-A {CHAIN} -s {pods} ! -d {pods} -m addrtype ! --dst-type LOCAL -j MASQUERADE
COMMIT
*mangle
:{CHAIN} - [0:0]
-A {CHAIN} -m owner --uid-owner 0 -j RETURN
-A {CHAIN} -s {pods} {judge}
-A {CHAIN} -d {pods} {judge}
COMMIT
"""


def _rule() -> None:
    for setting in ("net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0"):
        system.succeeds("sysctl", "-q", "-w", setting)
    system.run(
        "iptables-restore", "--noflush", stdin=rules(arguments.get("--cluster-cidr", "kube-proxy") or "10.1.0.0/16")
    )
    for table in ("nat", "mangle"):
        jump = ["POSTROUTING", "-j", CHAIN]
        if not system.succeeds("iptables", "-t", table, "-C", *jump):
            system.run("iptables", "-t", table, "-A", *jump)


def remove() -> None:
    """Take rules, routes and configuration away."""
    for table in ("nat", "mangle"):
        for verb in (["-D", "POSTROUTING", "-j", CHAIN], ["-F", CHAIN], ["-X", CHAIN]):
            system.succeeds("iptables", "-t", table, *verb)
    with contextlib.suppress(subprocess.CalledProcessError):
        _route({})


def in_background() -> threading.Event:
    """Start keep() in a thread; set the event to end it."""
    stop = threading.Event()
    threading.Thread(target=keep, args=(stop,), daemon=True).start()
    return stop
