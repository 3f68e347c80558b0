"""Addons: which there are, which are enabled, and `enable`, `disable`, `addons` [common/utils.py, addons.py].

The double can enable those that the project has to do with; for others it says that it cannot.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from . import arguments, kubernetes, node, system, tokens

ARCHITECTURE = "amd64"
API_SECONDS = 30
DNS_ADDRESS, DOMAIN = "10.152.183.10", "cluster.local"
SEVERAL = """WARNING: Do not enable or disable multiple addons in one command.
         This form of chained operations on addons will be DEPRECATED in the future.
         Please, {action} one addon at a time: 'microk8s {action} <addon>'"""
MIXED = """Can't pass string arguments and flag arguments simultaneously!
Enable or disable addons with only one argument style at a time:

    microk8s enable foo:'bar'
or
    microk8s enable foo --bar
"""


@dataclass(frozen=True)
class Addon:
    """An addon of a repository; it counts as enabled where `check` is part of what the cluster lists, or is a file."""

    repository: str
    name: str
    description: str
    version: str
    check: str


@dataclass(frozen=True)
class Request:
    """One addon that is to be enabled or disabled, with its arguments."""

    repository: str
    name: str
    arguments: tuple[str, ...] = ()


# --- which there are --------------------------------------------------------------------------------------------------


def available() -> list[Addon]:
    """The addons of all repositories that run here, by repository and name."""
    found: list[Addon] = []
    for file in (node.common() / "addons").glob("*/addons.yaml"):
        listed = yaml.safe_load(file.read_text())["microk8s-addons"]["addons"]
        found.extend(_addon(file.parent.name, each) for each in listed if _runs_here(each))
    return sorted(found, key=lambda each: (each.repository, each.name))


def _addon(repository: str, listed: Mapping[str, Any]) -> Addon:
    return Addon(repository, listed["name"], listed["description"], str(listed["version"]), listed["check_status"])


def _runs_here(listed: Mapping[str, Any]) -> bool:
    return ARCHITECTURE in listed["supported_architectures"] and "classic" in listed.get("confinement", "classic")


def by_name(known: Iterable[Addon], name: str) -> list[Addon]:
    """Those called NAME or REPOSITORY/NAME."""
    repository, slash, alone = name.rpartition("/")
    return [each for each in known if each.name == alone and (not slash or each.repository == repository)]


def divide(known: Iterable[Addon]) -> tuple[list[Addon], list[Addon]]:
    """The enabled and the disabled among them [get_status]."""
    listed = kubernetes.kubectl("get", "all,ingress,ingressclass", "--all-namespaces")
    listed += kubernetes.kubectl("get", "clusterroles", "--show-kind", "--no-headers")
    enabled: list[Addon] = []
    disabled: list[Addon] = []
    for each in known:
        there = each.check in listed or Path(os.path.expandvars(each.check)).is_file()
        (enabled if there else disabled).append(each)
    return enabled, disabled


# --- enable and disable -----------------------------------------------------------------------------------------------


def switch(action: str, words: list[str]) -> int:
    """Enable or disable addons, one call at a time.

    Raises:
        node.CommandError: there is no such addon.
        subprocess.CalledProcessError: the API server does not answer.
    """
    if not words:
        print(f"Usage: microk8s {action} [OPTIONS] ADDONS...", file=sys.stderr)
        return 2
    if "-h" in words or "--help" in words:
        print(f"Addon {words[0]} does not yet have a help message.")
        print("For more information about it, visit https://microk8s.io/docs/addons")
        return 0
    with node.lock(".microk8s-addon-lock").open("w") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        return _switch(action, words)


def _switch(action: str, words: list[str]) -> int:
    known = available()
    enabled, disabled = divide(known)
    done = enabled if action == "enable" else disabled
    requests = parse(words, known)
    if len(requests) > 1:
        print(SEVERAL.format(action=action))
    for request in requests:
        name = f"{request.repository}/{request.name}"
        if not by_name(known, name):
            print(f"Addon {name} not found")  # and the status stays 0
        elif by_name(done, name):
            print(f"Addon {name} is already {action}d")
        elif status := _run(action, request):
            return status
    return 0


def _run(action: str, request: Request) -> int:
    kubernetes.wait_until_ready(API_SECONDS, with_node=False)
    script = SCRIPTS.get((action, request.name))
    if script is None:
        print(f"The lab's double of MicroK8s cannot {action} {request.name}.", file=sys.stderr)
        return 1
    status = script(request.arguments)
    kubernetes.wait_until_ready(API_SECONDS, with_node=False)
    return status


def parse(words: Sequence[str], known: Sequence[Addon]) -> list[Request]:
    """What the words of `enable` ask for: several addons, or one with its flags [parse_xable_addon_args].

    Raises:
        node.CommandError: an addon is in no repository, or in several, or both styles of arguments are mixed.
    """
    names = {each.name for each in known} | {f"{each.repository}/{each.name}" for each in known}
    if {word.partition(":")[0] for word in words} < names:
        return [_parse_one(word, known) for word in words]
    first = _parse_one(words[0], known)
    if first.arguments and words[1:]:
        raise node.CommandError(MIXED)
    return [Request(first.repository, first.name, tuple(words[1:]))]


def _parse_one(word: str, known: Sequence[Addon]) -> Request:
    name, *values = word.split(":")
    repository, slash, alone = name.rpartition("/")
    if slash:
        return Request(repository, alone, tuple(values))
    found = [each.repository for each in known if each.name == name]
    if not found:
        print(f"Addon {name} was not found in any repository", file=sys.stderr)
        raise node.CommandError("")
    print(f"Infer repository {found[0]} for addon {name}", file=sys.stderr)
    return Request(found[0], name, tuple(values))


# --- what the addons do -----------------------------------------------------------------------------------------------


def _manifest(name: str) -> str:
    return (node.snap() / "addons/core/manifests" / f"{name}.yaml").read_text()


def enable_dns(words: Sequence[str]) -> int:
    """CoreDNS, and the kubelets told about it."""
    print("Enabling DNS")
    servers = " ".join(words[0].split(",")) if words else "/etc/resolv.conf"
    if words:
        print(f"Will use  {servers} as upstream nameservers")
    else:
        print(f"Using host configuration from {arguments.get('--resolv-conf', 'kubelet')}")
    print("Applying manifest", flush=True)
    kubernetes.apply(_manifest("dns").replace("$NAMESERVERS", servers).replace("$DNSIP", DNS_ADDRESS))
    print(f"CoreDNS service deployed with IP address {DNS_ADDRESS}")
    wanted = {"--cluster-domain": DOMAIN, "--cluster-dns": DNS_ADDRESS}
    if any(arguments.get(key, "kubelet") != value for key, value in wanted.items()):
        print("Restarting kubelet", flush=True)
        everywhere("kubelet", wanted)
    print("DNS is enabled")
    return 0


def disable_dns(_: Sequence[str]) -> int:
    """No CoreDNS, and kubelets that know of none."""
    print("Disabling DNS")
    print("Reconfiguring kubelet")
    kubernetes.kubectl("delete", "-f", "-", "--ignore-not-found", stdin=_manifest("dns").replace("$DNSIP", DNS_ADDRESS))
    everywhere("kubelet", {"--cluster-domain": None, "--cluster-dns": None})
    print("DNS is disabled")
    return 0


def enable_rbac(_: Sequence[str]) -> int:
    """Who may do what is asked of RBAC from now on."""
    print("Enabling RBAC")
    print("Reconfiguring apiserver")
    if arguments.get("--authorization-mode", "kube-apiserver") != "RBAC,Node":
        print("Restarting apiserver", flush=True)
        everywhere("kube-apiserver", {"--authorization-mode": "RBAC,Node"})
    print("RBAC is enabled")
    return 0


def disable_rbac(_: Sequence[str]) -> int:
    """Everybody with a certificate may do everything."""
    print("Disabling RBAC")
    print("Reconfiguring apiserver", flush=True)
    everywhere("kube-apiserver", {"--authorization-mode": "AlwaysAllow"})
    print("RBAC is disabled")
    return 0


def enable_nvidia(_: Sequence[str]) -> int:
    """What is left in the cluster when the addon installed NVIDIA's GPU Operator: names alone, no operator."""
    print("Checking if NVIDIA driver is already installed")
    found = system.succeeds("sh", "-c", "nvidia-smi -L")
    print(f"Using {'host' if found else 'operator'} GPU driver")
    kubernetes.apply(_manifest("nvidia"))
    print("Deployed NVIDIA GPU operator")  # whatever became of it: every status of helm is ignored
    return 0


def disable_nvidia(_: Sequence[str]) -> int:
    """Remove what enable_nvidia() left."""
    print("Disabling NVIDIA GPU support")
    kubernetes.kubectl("delete", "-f", "-", "--ignore-not-found", stdin=_manifest("nvidia"))
    print("GPU support disabled")
    return 0


def enable_hostpath_storage(_: Sequence[str]) -> int:
    """A storage class, and the folder that `join` warns of."""
    print("Enabling default storage class.")
    print("WARNING: Hostpath storage is not suitable for production environments.")
    (node.common() / "default-storage").mkdir(exist_ok=True)
    kubernetes.apply(_manifest("hostpath-storage"))
    print("Storage will be available soon.")
    return 0


def already_there(_: Sequence[str]) -> int:
    """Addons that are only a file of the snap."""
    return 0


Script = Callable[[Sequence[str]], int]
SCRIPTS: dict[tuple[str, str], Script] = {
    ("enable", "dns"): enable_dns,
    ("disable", "dns"): disable_dns,
    ("enable", "rbac"): enable_rbac,
    ("disable", "rbac"): disable_rbac,
    ("enable", "nvidia"): enable_nvidia,
    ("disable", "nvidia"): disable_nvidia,
    ("enable", "gpu"): enable_nvidia,
    ("disable", "gpu"): disable_nvidia,
    ("enable", "hostpath-storage"): enable_hostpath_storage,
    ("enable", "ha-cluster"): already_there,
    ("enable", "helm"): already_there,
    ("enable", "helm3"): already_there,
}


def everywhere(service: str, values: Mapping[str, str | None]) -> None:
    """Change arguments of a service on every node, and restart it [distributed_op.py]."""
    changes = dict(values)
    arguments.update(service, changes)
    system.service("restart", "kubelite")
    if not node.locked("no-cert-reissue"):
        return
    kubernetes.wait_until_ready(API_SECONDS, with_node=False)
    for item in json.loads(kubernetes.kubectl("get", "nodes", "-o", "json"))["items"]:
        address = kubernetes.internal_address(item)
        if address not in node.addresses():
            print(f"Adding argument to nodes.\nConfiguring node {address}", flush=True)
            _ask(address, service, changes)


def _ask(address: str, service: str, changes: dict[str, str | None]) -> None:
    body = {
        "callback": tokens.callback(),
        "service": [
            {
                "name": service,
                "restart": True,
                "arguments_update": [{key: value} for key, value in changes.items() if value is not None],
                "arguments_remove": [key for key, value in changes.items() if value is None],
            }
        ],
    }
    context = ssl.create_default_context()
    # Nodes know each other by the callback token; their certificates are not looked at (common/cluster/utils.py).
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    peer = http.client.HTTPSConnection(address, node.AGENT_PORT, context=context, timeout=60)
    try:
        peer.request("POST", "/cluster/api/v1.0/configure", json.dumps(body))
        if (status := peer.getresponse().status) != http.HTTPStatus.OK:
            print(f"Failed to perform a {service} reconfiguration on node {address} {status}")
    except OSError:
        raise node.CommandError("Failed to reach node.") from None


# --- the command addons -----------------------------------------------------------------------------------------------


def repositories(words: list[str]) -> int:
    """`microk8s addons repo list`."""
    if words[:2] != ["repo", "list"]:
        print("Usage: microk8s addons repo list [--format pretty|json|yaml]", file=sys.stderr)
        return 2
    rows = [(file.parent.name, len(yaml.safe_load(file.read_text())["microk8s-addons"]["addons"]))
            for file in sorted((node.common() / "addons").glob("*/addons.yaml"))]  # fmt: skip
    listed = [
        {"name": name, "addons": count, "source": f"/snap/microk8s/current/addons/{name}@1a2b3c"}
        for name, count in rows
    ]
    form = words[words.index("--format") + 1] if "--format" in words else "pretty"
    if form == "json":
        print(json.dumps(listed))
    elif form == "yaml":
        print(yaml.safe_dump(listed), end="")
    else:
        print(f"{'REPO':10} {'ADDONS':>6} SOURCE")
        for each in listed:
            print(f"{each['name']:10} {each['addons']:>6} {each['source']}")
    return 0


def main(action: str, words: list[str]) -> int:
    """`microk8s enable` and `microk8s disable`."""
    try:
        return switch(action, words)
    except subprocess.CalledProcessError as error:
        print(f"{error}\n{error.stderr or ''}", file=sys.stderr)  # a traceback in MicroK8s
        return 1
