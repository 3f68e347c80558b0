"""The service daemon-kubelite: the five components of Kubernetes in one [run-kubelite-with-args]."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from . import arguments, lab_host, node

RESOLVERS = ("/run/systemd/resolve/resolv.conf", "/etc/resolv.conf")
SOCKET_SECONDS, ROUTE_SECONDS = 20, 10
# Flags that MicroK8s keeps in args/kubelet and that newer releases of Kubernetes do not know any more
# [sanitise_args_kubelet].
REMOVED_FLAGS = ("--pod-infra-container-image", "--cloud-provider", "--network-plugin", "--container-runtime")


def run() -> int:
    """Make ready and become kubelite."""
    if not node.locked("lite.lock"):
        print("kubelite will not run")
        return 0
    arguments.prepend("kubelite", "--start-control-plane", "false" if node.locked("clustered.lock") else "true")
    node.set_lock("stopped.lock", there=False)
    _wait_for_route()
    arguments.update("kubelet", dict.fromkeys(REMOVED_FLAGS))
    _configure_resolver()
    _accept_pods()
    _prepare_kernel()
    socket = node.common() / "run/containerd.sock"
    node.wait_for(socket.exists, SOCKET_SECONDS)
    lab_host.become([str(node.snap() / "kubelite"), *lab_host.kubelite_arguments(arguments.words("kubelite"))])
    return 0


def _wait_for_route() -> None:
    given = arguments.read("kube-apiserver")
    if "--advertise-address" not in given and "--bind-address" not in given:
        node.wait_for(lambda: node.default_address() != "none", ROUTE_SECONDS)


def _configure_resolver() -> None:
    if arguments.get("--resolv-conf", "kubelet") is None:
        found = next((path for path in RESOLVERS if Path(path).exists()), None)
        if found:
            arguments.prepend("kubelet", "--resolv-conf", found)


def _accept_pods() -> None:
    cidr = arguments.get("--cluster-cidr", "kube-proxy") or "10.1.0.0/16"
    for way in ("-s", "-d"):
        rule = ["FORWARD", way, cidr, "-m", "comment", "--comment", "generated for MicroK8s pods", "-j", "ACCEPT"]
        if subprocess.run(["iptables", "-C", *rule], capture_output=True, check=False).returncode:
            subprocess.run(["iptables", "-A", *rule], check=False)


def _prepare_kernel() -> None:
    for version in ("ipv4", "ipv6"):
        forwarding = Path(f"/proc/sys/net/{version}/conf/all/forwarding")
        if forwarding.exists() and os.access(forwarding, os.W_OK):
            forwarding.write_text("1")
