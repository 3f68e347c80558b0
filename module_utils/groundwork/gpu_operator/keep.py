"""What the operator was told, kept for the people who declare the same to our roles: it is gone afterwards."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ansible.module_utils.groundwork.gpu_operator.kubectl import Cluster
from ansible.module_utils.groundwork.gpu_operator.model import Object, State

AUTHORITY = "kube-root-ca.crt"
"""A ConfigMap that every namespace has."""


def collect(cluster: Cluster, state: State) -> dict[str, Object]:
    """Values of releases, what policies and ConfigMaps say, and the marks of nodes, each by its name."""
    spaces = {one.name for one in state.namespaces}
    kept = {f"values of {release}": cluster.values(release) for release in state.releases}
    policies = cluster.objects(*state.definitions) if state.definitions else []
    kept |= {f"{one['kind']} {one['metadata']['name']}": one.get("spec", {}) for one in policies}
    kept |= {
        f"ConfigMap {one['metadata']['namespace']}/{one['metadata']['name']}": one.get("data", {})
        for one in cluster.objects("configmaps")
        if one["metadata"]["namespace"] in spaces and one["metadata"]["name"] != AUTHORITY
    }
    marks = {one.node: one.labels for one in state.marks}
    labels = {one["metadata"]["name"]: one["metadata"]["labels"] for one in cluster.objects("nodes")}
    return kept | {
        f"labels of node {node}": {name: labels[node][name] for name in names} for node, names in marks.items()
    }


def keep(path: Path, found: dict[str, Object]) -> None:
    """Write it for its owner alone. What a run that was killed kept before goes first: it saw more."""
    before: dict[str, Object] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(json.dumps({**found, **before}, indent=1, sort_keys=True) + "\n")
    fresh.replace(path)
