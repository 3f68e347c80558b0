"""Whether MicroK8s on a host is as it was declared."""

from __future__ import annotations

import re
from pathlib import Path

from ansible.module_utils.groundwork.check import Check, failed, judge, ok, warning
from ansible.module_utils.groundwork.microk8s.observe import MicroK8s
from ansible.module_utils.groundwork.microk8s.paths import Paths

DAYS_TO_WARN = 30


def check(found: MicroK8s, paths: Paths, channel: str) -> list[Check]:
    """Every verdict; nothing but the first, where MicroK8s is not there."""
    first = _installed(found, channel)
    if not found.installed:
        return [first]
    return [first, _ready(found), _rbac(found, paths), _cluster_dns(paths), _certificates(found)]


def _installed(found: MicroK8s, channel: str) -> Check:
    snap = found.snap
    return judge(
        "microk8s_node.installed_and_held",
        snap is not None and snap.held,
        f"{snap.version}, {', '.join(snap.notes)}" if snap else "not installed",
        f"{channel}, held",
        "Run playbooks/cluster.yml; a snap that refreshes itself has taken clusters down.",
    )


def _ready(found: MicroK8s) -> Check:
    node = found.node
    return judge(
        "microk8s_node.ready",
        node is not None and node.ready,
        "Ready" if node and node.ready else (node.message if node else found.nodes_error) or "there is no such node",
        "Ready",
        "Read `journalctl -u snap.microk8s.daemon-kubelite` on the host, and run `microk8s inspect`.",
    )


def _rbac(found: MicroK8s, paths: Paths) -> Check:
    """MicroK8s's own default allows everything to whoever has a certificate."""
    name = "microk8s_node.role_based_access_control"
    if found.role == "worker":
        return ok(name, "a worker has no API server")
    on = re.search(r"^--authorization-mode[= ]\S*\bRBAC\b", _text(paths.data / "args/kube-apiserver"), re.MULTILINE)
    remedy = "Enable it on the cluster with `microk8s enable rbac`; it restarts the API servers."
    return judge(name, on is not None, "on" if on else "off", "on", remedy)


def _cluster_dns(paths: Paths) -> Check:
    named = re.search(r"^--cluster-dns[= ]\S", _text(paths.kubelet_arguments), re.MULTILINE)
    return judge(
        "microk8s_node.cluster_dns",
        named is not None,
        f"the kubelet names {'a' if named else 'no'} cluster DNS",
        "the kubelet names a cluster DNS",
        "Run `microk8s enable dns` on a control-plane node; it tells all kubelets.",
    )


def _certificates(found: MicroK8s) -> Check:
    """The server's and the front proxy's last a year, and nothing renews them by itself."""
    name, wanted = "microk8s_node.certificates", f"at least {DAYS_TO_WARN} days left"
    remedy = (
        "Run `microk8s refresh-certs -e server.crt`, and the same for front-proxy-client.crt, on the node; a worker "
        "has to leave and join again."
    )
    if not found.certificates:
        return failed(name, "no certificate can be read", wanted, "Run `microk8s inspect` on the host.")
    first = min(found.certificates, key=lambda certificate: certificate.days_left)
    observed = f"{first.name} is the first to expire, in {first.days_left} days"
    if first.days_left < 1:
        return failed(name, observed, wanted, remedy)
    return warning(name, observed, wanted, remedy) if first.days_left < DAYS_TO_WARN else ok(name, observed, wanted)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""
