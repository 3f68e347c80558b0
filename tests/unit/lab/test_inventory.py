"""The inventory of a lab, and the one in the repository for the default lab."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import yaml

from lab import inventory, lifecycle, paths
from lab.model import Gpus, Host, Lab


def default_lab() -> Lab:
    lab = Lab("lab", "10.77.0.0/24")
    for host in lifecycle.DEFAULT_HOSTS:
        lab = lab.with_host(Host(host.name, host.os, lab.next_address(), host.gpus))
    return lab


def members(content: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Each group's hosts with their addresses, as Ansible puts them together."""
    hosts = {
        name: (variables or {}).get("ansible_host", "")
        for group in content.values()
        for name, variables in group.get("hosts", {}).items()
        if variables
    }
    return {
        group: {name: hosts[name] for name in value.get("hosts", {})}
        for group, value in content.items()
        if group != "all"
    }


def test_the_inventory_in_the_repository_is_the_default_labs() -> None:
    written = yaml.safe_load((paths.PROJECT / "inventories/lab/hosts.yml").read_text())
    assert members(written) == members(inventory.content(default_lab()))


def test_the_smallest_inventory_is_one_host() -> None:
    lab = Lab("one", "10.77.4.0/24", hosts=(Host("a", "debian-12", "10.77.4.11", Gpus("L40S", 1)),))
    assert members(inventory.content(lab)) == {
        "control_plane": {"a": "10.77.4.11"},
        "gpu_nodes": {"a": "10.77.4.11"},
        "nfs_server": {},
    }


def test_what_a_host_serves_is_mounted() -> None:
    lab = replace(default_lab(), share="n1")
    written = yaml.safe_load((paths.PROJECT / "inventories/lab/hosts.yml").read_text())["all"]["vars"]
    mounted = {name: value for name, value in written.items() if name.startswith("shared_storage_")}
    assert inventory.shared(lab) == mounted
    assert mounted.items() <= inventory.content(lab)["all"]["vars"].items()
    assert not inventory.shared(default_lab())


def test_hosts_are_known_by_their_keys() -> None:
    variables = inventory.content(default_lab())["all"]["vars"]
    assert "StrictHostKeyChecking=yes" in variables["ansible_ssh_common_args"]
    assert variables["site_cluster_name"] == "lab"
