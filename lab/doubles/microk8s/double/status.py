"""`microk8s status` [status.py]."""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Iterable, Sequence

from . import addons, arguments, datastore, kubernetes, node
from .addons import Addon

NOT_RUNNING = "microk8s is not running. Use microk8s inspect for a deeper inspection."
TRIES = 10


def main(words: list[str]) -> int:
    """Print what runs; 1 if nothing does."""
    chosen = _parse(words)
    ready = kubernetes.wait_until_ready(chosen.timeout) if chosen.wait_ready else kubernetes.is_ready()
    known = addons.available()
    if chosen.addon != "all":
        known = addons.by_name(known, chosen.addon)
    enabled, disabled = addons.divide(known) if ready else ([], [])
    if chosen.addon != "all":
        print("enabled" if enabled else "disabled")
    else:
        print("\n".join(_show(chosen, ready, enabled, disabled)))
    return 0 if ready else 1


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Microk8s cluster status check.", prog="microk8s status")
    parser.add_argument("--format", default="pretty", choices=("pretty", "yaml", "short"))
    parser.add_argument("-w", "--wait-ready", action="store_true", help="wait until the cluster is in ready state")
    parser.add_argument("-t", "--timeout", type=int, default=0, help="seconds to wait at most; 0: for ever")
    parser.add_argument("-a", "--addon", default="all", help="check the status of an addon")
    parser.add_argument("--yaml", action="store_true", help="DEPRECATED, use '--format yaml' instead")
    return parser.parse_args(words)


def _show(chosen: argparse.Namespace, ready: bool, enabled: Sequence[Addon], disabled: Sequence[Addon]) -> list[str]:
    if chosen.format == "yaml":
        return yaml_lines(ready, _members(), enabled, disabled)
    if chosen.format == "short":
        return ["microk8s is running", *_short(enabled, disabled)] if ready else [NOT_RUNNING]
    if chosen.yaml:
        return _short_yaml(ready, enabled, disabled)
    return pretty_lines(_members(), enabled, disabled) if ready else [NOT_RUNNING]


def _short(enabled: Iterable[Addon], disabled: Iterable[Addon]) -> list[str]:
    rows = [f"{each.repository}/{each.name}: enabled" for each in enabled]
    return ["addons:", *rows, *(f"{each.repository}/{each.name}: disabled" for each in disabled)]


def _short_yaml(ready: bool, enabled: Sequence[Addon], disabled: Sequence[Addon]) -> list[str]:
    head = ["microk8s:", f"  running: {ready}"]
    if not ready:
        return [*head, f"  message: {NOT_RUNNING}"]
    first, *rows = _short(enabled, disabled)
    return [*head, first, *(f"  {row}" for row in rows)]


def pretty_lines(members: Sequence[datastore.Member], enabled: Sequence[Addon], disabled: Sequence[Addon]) -> list[str]:
    """The status for people."""
    lines = ["microk8s is running", f"high-availability: {'yes' if _is_highly_available(members) else 'no'}"]
    for title, role in (("master", datastore.VOTER), ("standby", datastore.STANDBY)):
        listed = " ".join(member.address for member in members if member.role == role) or "none"
        lines.append(f"  datastore {title} nodes: {listed}")
    lines.append("addons:")
    for title, group in (("enabled", enabled), ("disabled", disabled)):
        if group:
            lines.append(f"  {title}:")
            lines += [f"    {each.name:<20} # ({each.repository}) {each.description}" for each in group]
    return lines


def yaml_lines(
    ready: bool, members: Sequence[datastore.Member], enabled: Sequence[Addon], disabled: Sequence[Addon]
) -> list[str]:
    """The status as YAML; where nothing runs, its last line says so in the wrong place, as MicroK8s's does."""
    lines = ["microk8s:", f"  running: {ready}", "high-availability:", f"  enabled: {node.locked('ha-cluster')}"]
    if node.locked("ha-cluster"):
        lines.append("  nodes:")
        for member in members:
            lines += [f"    - address: {member.address}", f"      role: {datastore.ROLE_NAMES[member.role]}"]
    if not ready:
        return [*lines, f"  message: {NOT_RUNNING}"]
    lines.append("addons:")
    for state, group in (("enabled", enabled), ("disabled", disabled)):
        for each in group:
            lines += [
                f"  - name: {each.name}",
                f"    repository: {each.repository}",
                f"    description: {each.description}",
            ]
            lines += [f"    version: {each.version}", f"    status: {state}"]
    return lines


def _is_highly_available(members: Iterable[datastore.Member]) -> bool:
    return sum(member.role == datastore.VOTER for member in members) >= 3


def _members() -> list[datastore.Member]:
    """The datastore's members; none if it does not answer ten times [get_dqlite_info]."""
    if not node.locked("ha-cluster") or "kine.sock" not in arguments.read("kube-apiserver"):
        return []
    for _ in range(TRIES):
        try:
            found = datastore.members()
            if datastore.own_address() in [member.address for member in found]:
                return found
        except (OSError, subprocess.TimeoutExpired):
            pass
        time.sleep(node.PAUSE_SECONDS)  # MicroK8s: 2 s or 5 s
    return []
