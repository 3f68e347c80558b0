"""Kubernetes nodes, as this host may see them: all of them on a member, its own on a worker.

A worker is asked with the kubelet's own kubeconfig: the Node authorizer lets a kubelet read its node
(https://kubernetes.io/docs/reference/access-authn-authz/node/); `microk8s kubectl` refuses there, with exit code 0.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.groundwork.command import Run
from ansible.module_utils.groundwork.microk8s.membership import Role
from ansible.module_utils.groundwork.microk8s.paths import MICROK8S, Paths


@dataclass(frozen=True)
class Node:
    """A node; `reason` and `message` are those of its condition Ready."""

    name: str
    ready: bool
    schedulable: bool
    role: Role
    internal_ip: str | None
    kubelet_version: str | None
    container_runtime: str | None
    reason: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class Nodes:
    """Nodes in the order of their names; `error` is what stood in the way, where something did."""

    nodes: tuple[Node, ...] = ()
    error: str | None = None


def observe(run: Run, paths: Paths, role: Role, name: str, timeout_seconds: float) -> Nodes:
    """Ask the API server within `timeout_seconds`."""
    request = ("-o", "json", f"--request-timeout={max(1, int(timeout_seconds))}s")
    if role == "worker":
        kubectl = [str(paths.kubectl), "--kubeconfig", str(paths.kubelet_kubeconfig)]
        output = run([*kubectl, "get", "node", name, *request], timeout_seconds + 5)
    else:
        output = run([MICROK8S, "kubectl", "get", "nodes", *request], timeout_seconds + 5)
    return parse(output.stdout, output.text)


def parse(document: str, otherwise: str = "") -> Nodes:
    """Nodes out of kubectl's JSON, one node or a list; anything else is an error, whatever the exit code was."""
    try:
        found = json.loads(document)
    except ValueError:
        return Nodes(error=otherwise.strip() or document.strip() or "kubectl said nothing")
    items = found["items"] if found.get("kind") == "List" else [found]
    return Nodes(tuple(sorted(map(_node, items), key=lambda node: node.name)))


def _node(item: dict[str, Any]) -> Node:
    metadata, spec, status = item["metadata"], item.get("spec", {}), item.get("status", {})
    conditions: dict[str, Any] = {found["type"]: found for found in status.get("conditions", ())}
    ready = conditions.get("Ready", {})
    addresses = (found["address"] for found in status.get("addresses", ()) if found["type"] == "InternalIP")
    information = status.get("nodeInfo", {})
    worker = "node.kubernetes.io/microk8s-worker" in metadata.get("labels", {})
    return Node(
        name=metadata["name"],
        ready=ready.get("status") == "True",
        schedulable=not spec.get("unschedulable", False),
        role="worker" if worker else "control_plane",
        internal_ip=next(addresses, None),
        kubelet_version=information.get("kubeletVersion"),
        container_runtime=information.get("containerRuntimeVersion"),
        reason=ready.get("reason"),
        message=ready.get("message"),
    )
