"""The service daemon-apiserver-kicker: certificates anew, and the network's manifest [apiservice-kicker]."""

from __future__ import annotations

import subprocess
import time

from . import arguments, certificates, containers, kubernetes, network, node, system

SECONDS = 2.0  # MicroK8s: 5 s
RESTARTS = 5


def run() -> int:
    """Serve until the end; not at all on a worker."""
    if node.locked("clustered.lock"):
        print("api service kicker will not run on a cluster node")
        return 0
    network.in_background()
    restarts = 0
    while restarts < RESTARTS:
        time.sleep(SECONDS)
        restarts = restarts + 1 if _kick() else 0
        _apply_network()
    print("Service kicker restarted the apiserver too quickly. Exiting.")
    return 1


def _kick() -> bool:
    """Make certificates anew where they must be; tell whether everything was restarted for it."""
    node.restrict(node.backend())
    if not _renew() or node.locked("join-in-progress"):
        return False
    print("cert change detected. Restarting the cluster-agent", flush=True)
    system.service("restart", "cluster-agent")
    print("cert change detected. Reconfiguring the kube-apiserver", flush=True)
    system.service("stop", "kubelite")
    containers.remove_all()
    system.service("restart", "containerd")
    system.service("start", "kubelite")
    return True


def _renew() -> bool:
    given = arguments.read("kube-apiserver")
    advertised = "--advertise-address" in given or "--bind-address" in given
    if node.locked("no-cert-reissue") or advertised or node.default_address() == "none":
        return certificates.ensure_server_is_ours()
    return certificates.produce()


def _apply_network() -> None:
    """Apply cni.yaml once, as soon as the API server is ready [default-hooks/reconcile.d/90-calico-apply]."""
    if node.locked("cni-loaded") or not kubernetes.is_live():
        return
    try:
        kubernetes.kubectl("apply", "-f", str(node.arguments_file("cni-network/cni.yaml")))
    except subprocess.CalledProcessError:
        return  # the next round tries again
    node.set_lock("cni-loaded")
