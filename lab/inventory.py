"""A lab's inventory for Ansible: its hosts, and the variables that any site without internet would set too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lab import paths
from lab.model import Lab

VOLUME = "shared"
_VARIABLES = paths.PROJECT / "inventories/lab/group_vars"


def write(lab: Lab) -> Path:
    """Write the inventory into the lab's directory and return where it is."""
    directory = lab.directory / "inventory"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "hosts.yml").write_text("---\n" + yaml.safe_dump(content(lab), sort_keys=False, width=120))
    link = directory / "group_vars"
    link.unlink(missing_ok=True)
    link.symlink_to(_VARIABLES)
    return directory


def content(lab: Lab) -> dict[str, Any]:
    """Return the inventory: the first host is the control plane, the others are workers, and who has GPUs says so."""
    ssh = f"-o UserKnownHostsFile={lab.directory}/known_hosts -o StrictHostKeyChecking=yes"
    variables = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": f"{lab.directory}/id_ed25519",
        "ansible_ssh_common_args": ssh,
        # A later lab may have these addresses: connections to this one must not be taken for its own.
        "ansible_control_path_dir": f"{lab.directory}/ssh",
        "site_cluster_name": lab.name,
    }
    variables |= shared(lab)
    hosts = {host.name: {"ansible_host": host.address} for host in lab.hosts}
    control_plane, workers = dict(list(hosts.items())[:1]), dict(list(hosts.items())[1:])
    groups: dict[str, Any] = {"all": {"vars": variables}, "control_plane": {"hosts": control_plane}}
    if workers:
        groups["workers"] = {"hosts": workers}
    if with_gpus := {host.name: None for host in lab.hosts if host.gpus}:
        groups["gpu_nodes"] = {"hosts": with_gpus}
    return groups | {"nfs_server": {"hosts": {}}}


def shared(lab: Lab) -> dict[str, str]:
    """Return what mounts the lab's network filesystem, where a host serves one."""
    if not lab.share:
        return {}
    names = ("path", "source", "type")
    values = (f"/srv/{VOLUME}", f"{lab.share}:/{VOLUME}", "glusterfs")
    return {f"shared_storage_{name}": value for name, value in zip(names, values, strict=True)}
