"""Hooks of the snap [snap/hooks]."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from . import arguments, certificates, containers, datastore, kubelite, lab_host, launch, network, node, system

# What others look for at its usual place; made only where nothing is yet
LINKS = {
    "/var/lib/kubelet": "{common}/var/lib/kubelet",
    "/var/lib/calico": "{current}/var/lib/calico",
    "/etc/cni/net.d": "{current}/args/cni-network",
    "/opt/cni/bin": "{current}/opt/cni/bin",
}
CONFIGURED = ("credentials", "certs", "args", "var/lock", "tmp")


def install() -> int:
    """Lay down files and certificates; nothing runs yet."""
    if node.locked("installed.lock"):
        return 0
    _copy_arguments()
    _link()
    for folder in ("credentials", "certs", "var/lock", "var/tmp", "opt/cni/bin", "var/kubernetes/backend"):
        (node.data() / folder).mkdir(parents=True, exist_ok=True)
    (node.common() / "var/lib/kubelet").mkdir(parents=True, exist_ok=True)
    shutil.copy(node.snap() / "certs/csr.conf.template", node.certificate("csr.conf.template"))
    try:
        launch.first()
    except launch.InvalidError as error:
        print(f"Error: failed to initialize cluster: {error}", file=sys.stderr)
        return 1
    _copy_images()
    certificates.produce()
    certificates.create_clients()
    certificates.create_cluster_certificate()
    datastore.prepare()
    _generate_network()
    for lock in ("no-etcd", "no-flanneld", "no-apiserver-proxy", "ha-cluster", "lite.lock", "installed.lock"):
        node.set_lock(lock)
    node.restrict(*(node.data() / part for part in CONFIGURED))
    return 0


def _copy_arguments() -> None:
    shutil.copytree(node.snap() / "default-args", node.data() / "args", dirs_exist_ok=True)
    registry = node.arguments_file("certs.d")
    (registry / "localhost__32000").rename(registry / "localhost:32000")


def _link() -> None:
    current = str(node.data()).replace(os.environ["SNAP_REVISION"], "current")
    for link, target in LINKS.items():
        path = Path(link)
        if not path.exists() and not path.is_symlink():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target.format(common=node.common(), current=current))


def _copy_images() -> None:
    wanted = node.common() / "etc/sideload"
    wanted.mkdir(parents=True, exist_ok=True)
    for folder in (Path("/root/snap/microk8s/common/sideload"), node.common() / "sideload"):
        for image in folder.glob("*.tar"):
            shutil.copy(image, wanted)


def _generate_network() -> None:
    """The network's manifest and the flags that go with it [generate-cni.sh]."""
    manifest = node.arguments_file("cni-network/cni.yaml")
    manifest.parent.mkdir(exist_ok=True)
    shutil.copy(node.snap() / "cni.yaml", manifest)
    variables = dict(
        line.split("=", 1) for line in arguments.read("cni-env").splitlines() if "=" in line and line[0] != "#"
    )
    pods, services = variables["IPv4_CLUSTER_CIDR"], variables["IPv4_SERVICE_CIDR"]
    arguments.prepend("kube-controller-manager", "--service-cluster-ip-range", services)
    arguments.prepend("kube-controller-manager", "--cluster-cidr", pods)
    arguments.update("kube-apiserver", {"--service-cluster-ip-range": services})
    arguments.update("kube-proxy", {"--cluster-cidr": pods})


def configure() -> int:
    """After installation, refresh, and every `snap set`; restarts kubelite each time, as MicroK8s has since 1.34."""
    if not node.locked("installed.lock"):
        return 0
    _link()
    _take_over_launch_configuration()
    _copy_addons()
    for folder in ("plugins", "hooks"):
        (node.common() / folder).mkdir(exist_ok=True)
    for folder in ("tmp", "opt/cni/bin"):
        (node.data() / folder).mkdir(parents=True, exist_ok=True)
    subprocess.run(["groupadd", "--system", node.GROUP], check=False, capture_output=True)
    node.restrict(*(node.data() / part for part in CONFIGURED), node.backend(), node.common() / "addons")
    _link_network_plugins()
    node.set_lock("snapdata-mounts-need-reload")
    if certificates.produce() if not node.locked("no-cert-reissue") else certificates.ensure_server_is_ours():
        system.service("restart", "cluster-agent")
    system.service("restart", "kubelite")
    return 0


def _take_over_launch_configuration() -> None:
    wanted = subprocess.run(["snapctl", "get", "config"], capture_output=True, text=True, check=False).stdout.strip()
    file = launch.folder() / "snap-set.yaml"
    applied = file.with_name("snap-set.yaml.applied")
    if wanted and not (applied.exists() and applied.read_text().strip() == wanted):
        file.write_text(f"{wanted}\n")


def _copy_addons() -> None:
    if not (node.common() / "addons").exists():
        shutil.copytree(node.snap() / "addons/core", node.common() / "addons/core")


def _link_network_plugins() -> None:
    inside = Path(str(node.snap()).replace(os.environ["SNAP_REVISION"], "current")) / "opt/cni/bin"
    for plugin in (node.snap() / "opt/cni/bin").iterdir():
        link = node.data() / "opt/cni/bin" / plugin.name
        link.unlink(missing_ok=True)
        link.symlink_to(inside / plugin.name)


def remove() -> int:
    """Take away what runs and what was made outside the snap's folders; the group and /etc/microk8s.yaml stay."""
    # The services are stopped by now; containers outlive them and are deleted by a containerd of our own.
    with_containerd = subprocess.Popen(
        [str(node.snap() / "microk8s.wrapper"), "daemon-containerd"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    node.wait_for((node.common() / "run/containerd.sock").exists, kubelite.SOCKET_SECONDS)
    containers.remove_all()
    with_containerd.terminate()
    with_containerd.wait(timeout=30)
    network.remove()
    subprocess.run(["pkill", "-KILL", "-f", f"^{node.snap()}/bin/containerd-shim"], check=False)
    lab_host.release_mounts()
    for link in map(Path, LINKS):
        if link.is_symlink() and "/var/snap/microk8s/" in str(link.readlink()):
            link.unlink()
    return 0
