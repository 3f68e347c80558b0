"""What can be said of an inventory before any host is asked."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ansible.module_utils.groundwork.check import Check, judge, ok, warning

GROUPS = ("control_plane", "workers", "gpu_nodes", "nfs_server")


@dataclass(frozen=True)
class Inventory:
    """An inventory.

    groups     the hosts of each group, Ansible's own groups (all, ungrouped) left out
    addresses  what each host is reached by
    chosen     the hosts of this run: fewer than all under --limit
    """

    groups: Mapping[str, tuple[str, ...]]
    addresses: Mapping[str, str]
    chosen: tuple[str, ...]

    def hosts(self, group: str) -> tuple[str, ...]:
        """The hosts of a group; none where the inventory has no such group."""
        return self.groups.get(group, ())


def check(inventory: Inventory) -> list[Check]:
    """Every verdict on the inventory."""
    return [
        _control_plane_exists(inventory),
        _control_plane_in_run(inventory),
        _control_plane_is_odd(inventory),
        _kinds_are_distinct(inventory),
        _gpu_nodes_are_nodes(inventory),
        _addresses_are_unique(inventory),
        *_misspelled_groups(inventory),
    ]


def _control_plane_exists(inventory: Inventory) -> Check:
    return judge(
        "site.control_plane_exists",
        bool(inventory.hosts("control_plane")),
        _words(inventory.hosts("control_plane")),
        "at least one host in the group control_plane",
        "Name the hosts that run the API server in the inventory's group control_plane; one is enough to begin with.",
    )


def _control_plane_in_run(inventory: Inventory) -> Check:
    hosts = set(inventory.hosts("control_plane"))
    return judge(
        "site.control_plane_in_run",
        not hosts or bool(hosts & set(inventory.chosen)),
        f"this run has {_words(inventory.chosen)}",
        f"at least one of {_words(sorted(hosts))}",
        "Add a control-plane host to --limit: nodes join through one, and are verified from one.",
    )


def _control_plane_is_odd(inventory: Inventory) -> Check:
    """The datastore needs a majority: an even number of voters survives no more losses than one fewer."""
    count = len(inventory.hosts("control_plane"))
    name, wanted = "site.control_plane_is_odd", "an odd number of control-plane hosts"
    if count % 2 or not count:
        return ok(name, str(count), wanted)
    return warning(
        name, str(count), wanted, f"{count} survive the loss of {(count - 1) // 2}; use {count - 1} or {count + 1}."
    )


def _kinds_are_distinct(inventory: Inventory) -> Check:
    both = sorted(set(inventory.hosts("control_plane")) & set(inventory.hosts("workers")))
    return judge(
        "site.kinds_are_distinct",
        not both,
        f"in control_plane and in workers: {_words(both)}",
        "no host in both control_plane and workers",
        "Take them out of workers: a control-plane host runs pods as well.",
    )


def _gpu_nodes_are_nodes(inventory: Inventory) -> Check:
    strangers = sorted(
        set(inventory.hosts("gpu_nodes")) - set(inventory.hosts("control_plane")) - set(inventory.hosts("workers"))
    )
    return judge(
        "site.gpu_nodes_are_nodes",
        not strangers,
        f"in gpu_nodes alone: {_words(strangers)}",
        "every host of gpu_nodes also in control_plane or workers",
        "Add them to workers, or to control_plane.",
    )


def _addresses_are_unique(inventory: Inventory) -> Check:
    names = defaultdict(list)
    for host, address in sorted(inventory.addresses.items()):
        names[address].append(host)
    twice = [f"{' and '.join(hosts)} are both {address}" for address, hosts in names.items() if len(hosts) > 1]
    return judge(
        "site.addresses_are_unique",
        not twice,
        "; ".join(twice) or f"{len(names)} different ones",
        "an address of its own for every host",
        "Give each host its own ansible_host, and name each machine once.",
    )


def _misspelled_groups(inventory: Inventory) -> Iterator[Check]:
    """A site may have groups of its own; one that is nearly ours is a slip."""
    for group in sorted(set(inventory.groups) - set(GROUPS)):
        nearest = difflib.get_close_matches(group.replace("-", "_").lower(), GROUPS, n=1, cutoff=0.8)
        if nearest:
            wanted = f"one of {', '.join(GROUPS)}, or a name unlike them"
            yield judge(
                "site.groups_are_known",
                False,
                f"a group {group}",
                wanted,
                f"Rename it to {nearest[0]}, if that is meant.",
            )


def _words(hosts: object) -> str:
    return ", ".join(hosts) if isinstance(hosts, (tuple, list)) and hosts else "none"
