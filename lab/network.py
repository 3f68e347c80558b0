"""A lab's network: one bridge, one /24, and no way out of it, as at a site without internet."""

from __future__ import annotations

import ipaddress
import json
import re
import shlex
from collections.abc import Iterable, Iterator

from lab import paths
from lab.errors import LabError
from lab.model import GATEWAY, Lab
from lab.podman import holds, podman
from lab.run import run, succeeds

POOL = ipaddress.IPv4Network("10.77.0.0/16")
_NETAVARK = ("NETAVARK_", "NETAVARK-")
PODS = "10.1.0.0/16"  # MicroK8s's pod network


def allocate(taken: Iterable[str]) -> str:
    """Return the first /24 of the pool that overlaps none of `taken`, networks as text.

    Raises:
        LabError: none is free.
    """
    used = [ipaddress.IPv4Network(each, strict=False) for each in taken]
    for subnet in POOL.subnets(new_prefix=24):
        if not any(subnet.overlaps(each) for each in used):
            return str(subnet)
    raise LabError(
        f"no network is free in {POOL}", "remove a lab (script/lab down --lab NAME), or the machine's routes into it"
    )


def routed() -> list[str]:
    """List the networks that the machine has routes to, the default route left out."""
    routes = json.loads(run(["ip", "-4", "-json", "route", "show"]))
    return [route["dst"] for route in routes if route["dst"] != "default"]


def create(lab: Lab) -> None:
    """Make the lab's network and its rules; what is there already stays."""
    if not holds("network", "exists", lab.network):
        gateway = lab.address(GATEWAY)
        podman("network", "create", "--disable-dns", "--subnet", lab.subnet, "--gateway", gateway, lab.network)
    for table, rule in _rules(lab):
        if not succeeds(_iptables(table, "-C", rule)):
            run(_iptables(table, "-I", rule))


def remove(lab: Lab) -> None:
    """Remove the lab's network and rules, as far as they are there."""
    if not holds("network", "exists", lab.network):
        return
    for table, rule in _rules(lab):
        while succeeds(_iptables(table, "-D", rule)):
            pass
    podman("network", "rm", "--force", lab.network)


def clean() -> None:
    """Remove the chains that netavark leaves behind, unless some network on this machine still uses them."""
    with paths.locked("iptables"):
        listings = {table: run(["iptables", "--wait", "-t", table, "-S"]).splitlines() for table in ("filter", "nat")}
        if not any(map(is_of_a_network, [*listings["filter"], *listings["nat"]])):
            for table, rules in listings.items():
                _drop_chains(table, rules)


def _rules(lab: Lab) -> Iterator[tuple[str, list[str]]]:
    """Rules by table, the last one becoming the first of its chain.

    With bridge-nf-call-iptables = 1 frames between hosts pass these chains too. A host's own packets to a pod must
    keep their source, or network policies would judge the wrong one; what leaves the bridge is refused at once instead
    of timing out.
    """
    bridge = json.loads(podman("network", "inspect", lab.network))[0]["network_interface"]
    mark = ["-m", "comment", "--comment", f"groundwork {lab.subnet}"]
    yield "nat", ["POSTROUTING", "-s", lab.subnet, "-d", PODS, *mark, "-j", "ACCEPT"]
    yield "filter", ["FORWARD", "-i", bridge, *mark, "-j", "REJECT", "--reject-with", "icmp-admin-prohibited"]
    yield "filter", ["FORWARD", "-i", bridge, "-o", bridge, *mark, "-j", "ACCEPT"]


def _iptables(table: str, verb: str, rule: list[str]) -> list[str]:
    return ["iptables", "--wait", "-t", table, verb, *rule]


def is_of_a_network(rule: str) -> bool:
    """Tell netavark's rules for one network from those that it makes once and never removes."""
    return (
        rule.startswith("-A NETAVARK_FORWARD ")
        or re.search(r"^-A POSTROUTING .*-j NETAVARK-[0-9A-F]{10,}", rule) is not None
    )


def _drop_chains(table: str, rules: list[str]) -> None:
    for rule in rules:
        verb, chain, *words = shlex.split(rule)
        if verb == "-A" and not chain.startswith(_NETAVARK) and words[-1].startswith(_NETAVARK):
            run(_iptables(table, "-D", [chain, *words]))
    chains = [rule.split()[1] for rule in rules if rule.startswith("-N NETAVARK")]
    for verb in ("-F", "-X"):
        for chain in chains:
            run(_iptables(table, verb, [chain]))
