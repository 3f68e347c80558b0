"""A MicroK8s node's files, as far as they say what it is."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.groundwork.microk8s.paths import Paths

HEALTHY = ("installed.lock", "ha-cluster", "lite.lock", "no-etcd", "no-flanneld", "cni-loaded")


def installed(root: Path, *locks: str, kubelet: str = "") -> Paths:
    """An installed MicroK8s; a lone control plane has no lock but those of every node."""
    paths = Paths(root)
    paths.locks.mkdir(parents=True)
    for name in (*HEALTHY, *locks):
        (paths.locks / name).touch()
    paths.kubelet_arguments.parent.mkdir(parents=True)
    paths.kubelet_arguments.write_text(f"--kubeconfig=${{SNAP_DATA}}/credentials/kubelet.config\n{kubelet}\n")
    return paths
