"""The launch configuration: what a host declares of its MicroK8s in a file (cluster-agent/pkg/k8sinit)."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from . import arguments, node, system

SECONDS = 2.0  # MicroK8s: 5 s
VERSIONS = ("0.1.0", "0.2.0")

# key of the configuration → file under args/, service that is restarted when it changes
FILES = {
    "extraKubeAPIServerArgs": ("kube-apiserver", "kubelite"),
    "extraKubeletArgs": ("kubelet", "kubelite"),
    "extraKubeProxyArgs": ("kube-proxy", "kubelite"),
    "extraKubeControllerManagerArgs": ("kube-controller-manager", "kubelite"),
    "extraKubeSchedulerArgs": ("kube-scheduler", "kubelite"),
    "extraKubeliteEnv": ("kubelite-env", "kubelite"),
    "extraContainerdArgs": ("containerd", "containerd"),
    "extraContainerdEnv": ("containerd-env", "containerd"),
    "extraDqliteArgs": ("k8s-dqlite", "k8s-dqlite"),
    "extraDqliteEnv": ("k8s-dqlite-env", "k8s-dqlite"),
    "extraMicroK8sClusterAgentArgs": ("cluster-agent", "cluster-agent"),
    "extraMicroK8sClusterAgentEnv": ("cluster-agent-env", "cluster-agent"),
    "extraMicroK8sAPIServerProxyArgs": ("apiserver-proxy", "apiserver-proxy"),
    "extraMicroK8sAPIServerProxyEnv": ("apiserver-proxy-env", "apiserver-proxy"),
    "extraEtcdArgs": ("etcd", "etcd"),
    "extraEtcdEnv": ("etcd-env", "etcd"),
    "extraFlanneldArgs": ("flanneld", "flanneld"),
    "extraFlanneldEnv": ("flanneld-env", "flanneld"),
    "extraCNIEnv": ("cni-env", ""),
    "extraFIPSEnv": ("fips-env", "kubelite"),
}
OTHERS = {
    "version", "addonRepositories", "addons", "persistentClusterToken", "extraSANs", "containerdRegistryConfigs",
    "extraConfigFiles", "join",
}  # fmt: skip
Part = Mapping[str, Any]


class InvalidError(Exception):
    """The text is no launch configuration."""


def parse(text: str) -> list[Part]:
    """The parts of a configuration, one a YAML document.

    Raises:
        InvalidError: it is not YAML, or a part has no version that is known.
    """
    try:
        documents = [each for each in yaml.safe_load_all(text) if each is not None]
    except yaml.YAMLError as error:
        raise InvalidError(f"failed to parse launcher configuration: {error}") from None
    for index, each in enumerate(documents):
        if not isinstance(each, dict):
            raise InvalidError(f"failed to parse config part {index}: not a mapping")
        version = str(each.get("version", ""))
        if not version or not VERSIONS[0] <= version <= VERSIONS[1]:
            raise InvalidError(f"failed to parse config part {index}: config version {version!r} is not supported")
        for unknown in each.keys() - FILES.keys() - OTHERS:
            print(f"WARNING: unknown key {unknown!r} in launch configuration", file=sys.stderr)
    return documents


def apply(parts: Sequence[Part], first: bool = False) -> None:
    """Bring the node to what a configuration says.

    Args:
        parts: the parts of the configuration.
        first: before anything runs: files alone; no addons, no join, no restarts.

    Raises:
        subprocess.CalledProcessError: a step failed; the others before it are done.
    """
    restarts: dict[str, None] = {}
    for part in parts:
        if not first:
            _addons(part.get("addons") or [])
        _token(part.get("persistentClusterToken"))
        restarts |= dict.fromkeys(_files(part))
        _names(part.get("extraSANs") or [])
        _registries(part.get("containerdRegistryConfigs") or {})
        if not first and (join := part.get("join") or {}).get("url"):
            _microk8s("join", join["url"], *(["--worker"] if join.get("worker") else []))
    for service in restarts if not first else ():
        system.service("restart", service)


def _addons(addons: Sequence[Mapping[str, Any]]) -> None:
    for addon in addons:
        _microk8s("disable" if addon.get("disable") else "enable", addon["name"], *(addon.get("args") or []))


def _microk8s(*words: str) -> None:
    subprocess.run([str(node.snap() / "microk8s.wrapper"), *words], check=True)


def _token(token: str | None) -> None:
    file = node.credential("persistent-cluster-tokens.txt")
    if token and token not in (file.read_text().split() if file.exists() else []):
        node.write_private(file, (file.read_text() if file.exists() else "") + f"{token}\n")


def _files(part: Part) -> list[str]:
    """Write files under args/; return the services to restart."""
    for name, content in (part.get("extraConfigFiles") or {}).items():
        node.write_private(node.arguments_file(Path(name).name), content)
    changed = []
    for key, (file, service) in FILES.items():
        values = {name: None if value is None else str(value) for name, value in (part.get(key) or {}).items()}
        if arguments.update(file, values) and service:
            changed.append(service)
    return changed


def _names(wanted: Sequence[str]) -> None:
    """Add names and addresses to those that the server's certificate is for: csr.conf.template."""
    template = node.certificate("csr.conf.template")
    text = template.read_text()
    for name in wanted:
        kind = "IP" if _is_address(name) else "DNS"
        if f"= {name}\n" not in text:
            number = 1 + max(
                (int(line.split(".")[1].split()[0]) for line in text.splitlines() if line.startswith(f"{kind}.")),
                default=0,
            )
            number = max(number, 100) if kind == "IP" else number  # past those of the host's own addresses
            text = text.replace("#MOREIPS", f"{kind}.{number} = {name}\n#MOREIPS")
    template.write_text(text)


def _is_address(text: str) -> bool:
    return all(part.isdigit() for part in text.split(".")) or ":" in text


def _registries(configs: Mapping[str, str]) -> None:
    for registry, content in configs.items():
        node.write_private(node.arguments_file("certs.d") / registry / "hosts.toml", content)


# --- at installation, and later ---------------------------------------------------------------------------------------


def first() -> None:
    """Apply the first configuration found on the host before anything starts.

    Raises:
        InvalidError: it cannot be read, which fails the installation.
    """
    home = Path("/root/snap/microk8s/common/.microk8s.yaml")
    candidates = (
        Path("/etc/microk8s.yaml"),
        home,
        node.common() / ".microk8s.yaml",
        node.snap() / "microk8s.default.yaml",
    )
    found = next(candidate for candidate in candidates if candidate.exists())
    print(f"Found config file {found}, will use to initialize cluster.")
    kept = folder() / "install.yaml"
    kept.write_text(found.read_text())
    apply(parse(kept.read_text()), first=True)


def folder() -> Path:
    """Where configurations wait for the cluster-agent."""
    folder = node.common() / "etc/launcher"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def keep() -> None:
    """Apply what waits, for ever: a file that fails is tried again and again."""
    while True:
        time.sleep(SECONDS)
        for file in sorted(folder().glob("*.yaml")):
            try:
                apply(parse(file.read_text()))
                file.rename(file.with_name(f"{file.name}.applied"))
            except (InvalidError, OSError, subprocess.CalledProcessError) as error:
                print(f"Failed to apply configuration file {file}: {error}", flush=True)
