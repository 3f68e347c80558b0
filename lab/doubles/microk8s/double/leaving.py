"""`microk8s leave` and `microk8s remove-node` [leave.py, remove_node.py]."""

from __future__ import annotations

import ipaddress
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from . import agent, certificates, datastore, kubernetes, node, system

NOT_IN_A_CLUSTER = "This MicroK8s deployment is not acting as a node in a cluster."
ONLY_COPY = """This node currently holds the only copy of the Kubernetes database so it cannot leave the cluster.
To remove this node you can either first remove all other nodes with 'microk8s remove-node' or
form a highly available cluster by adding at least three nodes."""
REGISTERED = (
    "Removal failed. Node {name} is registered with dqlite. "
    "Please, run first 'microk8s leave' on the departing node. \n"
    "If the node is not available anymore and will never attempt to join the cluster "
    "in the future use the '--force' flag \n"
    "to unregister the node while removing it."
)


def leave(_: list[str]) -> int:
    """Depart from the cluster and be a cluster of one's own.

    Raises:
        node.CommandError: this node is in none, or is the only one with the data.
    """
    worker = node.locked("clustered.lock")
    if not node.locked("no-cert-reissue") or not (worker or node.arguments_file("k8s-dqlite").exists()):
        raise node.CommandError(NOT_IN_A_CLUSTER)
    if worker:
        _leave_as_worker()
    else:
        _leave_as_control_plane()
    return 0


def _leave_as_worker() -> None:
    print("Configuring services.", flush=True)
    node.set_lock("no-apiserver-proxy")
    system.service("stop", "apiserver-proxy")
    for lock in ("clustered.lock", "no-k8s-dqlite"):
        node.set_lock(lock, there=False)
    for name in ("kubelet", "kube-proxy"):
        shutil.copyfile(node.snap() / "default-args" / name, node.arguments_file(name))
    print("Generating new cluster certificates.", flush=True)
    certificates.create_clients()
    _begin_again()


def _leave_as_control_plane() -> None:
    known = datastore.members()
    mine = [member for member in known if member.ip in (*node.addresses(), "127.0.0.1")]
    voters = [member for member in known if member.role == datastore.VOTER]
    if len(known) > 1 and voters == mine:
        raise node.CommandError(ONLY_COPY, 3)
    _depart(mine, others=len(known) > 1)
    print("Generating new cluster certificates.", flush=True)
    certificates.create_clients()
    _begin_again()


def _depart(mine: Sequence[datastore.Member], others: bool) -> None:
    """Tell the others; etcd, unlike dqlite, must run here for that."""
    system.service("stop", "kubelite")
    if others:
        try:
            datastore.remove(mine[0].address)
        except OSError as error:
            raise node.CommandError(f"Contacting node {mine[0].address} failed. Error:\n{error!r}", 2) from None
    system.service("stop", "k8s-dqlite")
    time.sleep(node.PAUSE_SECONDS)  # MicroK8s: 10 s


def _begin_again() -> None:
    """A datastore, network and services as after installation [reinit_cluster, apply_cni, restart_all_services]."""
    for service in ("kubelite", "k8s-dqlite"):
        system.service("stop", service)
    _new_datastore()
    for service in ("k8s-dqlite", "kubelite"):
        system.service("start", service)
    print("Waiting for node to start.", end=" ", flush=True)
    agent.kubernetes_apply(str(node.arguments_file("cni-network/cni.yaml")))
    print(" ")
    node.set_lock("cni-loaded")
    node.set_lock("no-cert-reissue", there=False)
    for verb in ("stop", "start"):
        system.snapctl(verb, "microk8s")


def _new_datastore() -> None:
    backup = node.backend().with_name("backend.backup")
    shutil.rmtree(node.backend(), ignore_errors=True)
    node.backend().mkdir(parents=True)
    if (backup / "cluster.crt").exists():  # the certificate from before the cluster
        for name in ("cluster.crt", "cluster.key"):
            shutil.copy(backup / name, node.backend() / name)
    else:
        certificates.create_cluster_certificate()
    datastore.prepare()


def remove_node(words: list[str]) -> int:
    """Remove a node from the cluster's list, and with --force from its datastore."""
    if not words:
        print("Please provide the node you want to remove.")
        return 1
    if len(words) > 1 and words[1:] != ["--force"]:
        print("Please provide the node and the optional --force flag.")
        return 1
    force = len(words) > 1
    try:
        found = _find(words[0])
    except subprocess.CalledProcessError as error:
        print(error.stderr, end="", file=sys.stderr)
        return _remove_from_datastore_alone(words[0], force)
    return _remove(found["metadata"]["name"], kubernetes.internal_address(found), force)


def _find(name: str) -> dict[str, Any]:
    """The Node with a name or an address.

    Raises:
        subprocess.CalledProcessError: there is none.
    """
    if _is_address(name):
        for item in json.loads(kubernetes.kubectl("get", "nodes", "-o", "json"))["items"]:
            if kubernetes.internal_address(item) == name:
                name = item["metadata"]["name"]
    found: dict[str, Any] = json.loads(kubernetes.kubectl("get", "node", name, "-o", "json"))
    return found


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _remove_from_datastore_alone(name: str, force: bool) -> int:
    """The status is 1 even when it worked."""
    print(f"Node {name} does not exist in Kubernetes.")
    if force:
        print(f"Attempting to remove {name} from dqlite.")
        for member in datastore.members():
            if member.ip == name:
                print("Removing node entry found in dqlite.")
                datastore.remove(member.address)
    return 1


def _remove(name: str, address: str, force: bool) -> int:
    entries = [member for member in datastore.members() if member.ip == address and address not in node.addresses()]
    if entries and not force:
        print(REGISTERED.format(name=name))
        return 1
    for member in entries:
        datastore.remove(member.address)
    kubernetes.kubectl("delete", "node", name)
    return 0
