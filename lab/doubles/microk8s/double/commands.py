"""The command `microk8s`: its subcommands, the snap's services and its hooks [microk8s.wrapper]."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import (
    addons,
    agent,
    arguments,
    containerd,
    datastore,
    hooks,
    joining,
    kicker,
    kubelite,
    leaving,
    node,
    power,
    proxy,
    refresh_certs,
    status,
    system,
    tokens,
)

STOPPED = "microk8s is not running, try microk8s start"
IN_CLUSTER = "This MicroK8s deployment is acting as a node in a cluster."
Act = Callable[[list[str]], int]


@dataclass(frozen=True)
class Command:
    """A subcommand and what it says where it does not work.

    Attributes:
        stopped: the status after `microk8s stop`: None runs all the same.
        worker: what it prints on a worker: empty runs all the same.
        worker_status: its status there.
        root: whether it is for root alone, and calls sudo even for root.
        secret: whether it needs the administrator's kubeconfig.
    """

    act: Act
    stopped: int | None = None
    worker: str = ""
    worker_status: int = 0
    root: bool = False
    secret: bool = True


def main(words: list[str]) -> int:
    """Run `microk8s WORDS` and return the exit status."""
    if words and words[0] in INTERNAL:
        return INTERNAL[words[0]](words[1:])
    if not words:
        _help()
        return 1
    if words[0] in ("help", "--help", "-h"):
        _help()
        return 0
    command = COMMANDS.get(words[0])
    if command is None:
        print(f"'{words[0]}' is not a valid MicroK8s subcommand.")
        _help()
        return 1
    try:
        return _run(command, words[1:])
    except node.CommandError as failure:
        if str(failure):
            print(failure)
        return failure.status


def _help() -> None:
    print("Available subcommands are:")
    for name in sorted(COMMANDS):
        print(f"\t{name}")


def _run(command: Command, words: list[str]) -> int:
    """Look first where MicroK8s looks: at the lock of a worker, at permissions, at the lock of `stop`."""
    if command.worker and node.locked("clustered.lock"):
        print(command.worker)
        return command.worker_status
    if command.secret and not os.access(node.credential("client.config"), os.R_OK):
        return _no_permission()
    if command.stopped is not None and node.locked("stopped.lock"):
        print(STOPPED, file=sys.stderr if command.stopped else sys.stdout)
        return command.stopped
    if command.root:
        system.require_root()
        system.require_sudo()
    return command.act(words)


def _no_permission() -> int:
    user = os.environ.get("USER", "root")
    print(
        "Insufficient permissions to access MicroK8s.\n"
        f"You can either try again with sudo or add the user {user} to the 'microk8s' group:\n\n"
        f"    sudo usermod -a -G microk8s {user}\n    sudo chown -R {user} ~/.kube\n\n"
        "After this, reload the user groups either via a reboot or by running 'newgrp microk8s'.",
        file=sys.stderr,
    )
    return 1


# --- small subcommands ------------------------------------------------------------------------------------------------


def _kubectl(words: list[str]) -> int:
    os.environ["KUBECONFIG"] = str(node.credential("client.config"))
    system.become(node.snap() / "kubectl", *arguments.words("kubectl"), *words)
    return 0


def _helm(words: list[str]) -> int:
    system.become(node.snap() / "bin/helm", *words, f"--kubeconfig={node.credential('client.config')}")
    return 0


def _ctr(words: list[str]) -> int:
    system.become(node.snap() / "bin/ctr", *arguments.words("ctr"), *words)
    return 0


def _config(words: list[str]) -> int:
    lines = node.credential("client.config").read_text().splitlines()
    if "-l" not in words and "--use-loopback" not in words:
        lines = [line.replace("127.0.0.1", node.default_address(), 1) for line in lines]
    print("\n".join(lines) + "\n")
    return 0


def _version(_: list[str]) -> int:
    print(f"MicroK8s {os.environ['SNAP_VERSION']} revision {os.environ['SNAP_REVISION']}")
    return 0


def _service(act: Callable[[], int]) -> Act:
    return lambda _: act()


def _on_worker(what: str) -> str:
    return f"{IN_CLUSTER} Please use the microk8s {what} on the master."


def _power(verb: str) -> str:
    return f"{IN_CLUSTER}\nUse 'snap {verb} microk8s' to {verb} services on this node."


COMMANDS: dict[str, Command] = {
    "add-node": Command(tokens.add_node, stopped=1, worker=_on_worker("add-node"), worker_status=1, root=True),
    "addons": Command(addons.repositories),
    "config": Command(_config, worker=_on_worker("config")),
    "ctr": Command(_ctr),
    "disable": Command(lambda words: addons.main("disable", words), 1, f"{IN_CLUSTER}\nPlease use the master node.", 1),
    "enable": Command(lambda words: addons.main("enable", words), 1, f"{IN_CLUSTER}\nPlease use the master node.", 1),
    "helm": Command(_helm, stopped=1, worker=_on_worker("helm")),
    "helm3": Command(_helm, stopped=1, worker=_on_worker("helm")),
    "join": Command(joining.main, root=True),
    "kubectl": Command(_kubectl, stopped=1, worker=_on_worker("kubectl")),
    "leave": Command(leaving.leave, stopped=1, root=True),
    "refresh-certs": Command(
        refresh_certs.main,
        worker=f"{IN_CLUSTER} Please use `microk8s refresh-certs` on the master.\n"
        "To refresh certificates on this worker node please run `microk8s leave` and then `microk8s join` again.",
        secret=False,
    ),
    "remove-node": Command(
        leaving.remove_node, worker=f"{IN_CLUSTER} Please use microk8s leave.", worker_status=1, root=True
    ),
    "start": Command(power.start, worker=_power("start"), root=True),
    "status": Command(status.main, stopped=0, worker=f"{IN_CLUSTER}\nPlease use the control plane node."),
    "stop": Command(power.stop, worker=_power("stop"), root=True),
    "version": Command(_version, secret=False),
}


def _idle(_: list[str]) -> int:
    """Flannel and etcd belong to clusters without dqlite and do not run [run-etcd-with-args]."""
    print("will not run")
    return 0


INTERNAL: dict[str, Act] = {
    "daemon-apiserver-kicker": _service(kicker.run),
    "daemon-apiserver-proxy": _service(proxy.run),
    "daemon-cluster-agent": _service(agent.run),
    "daemon-containerd": _service(containerd.run),
    "daemon-etcd": _idle,
    "daemon-flanneld": _idle,
    "daemon-k8s-dqlite": _service(datastore.run),
    "daemon-kubelite": _service(kubelite.run),
    "dqlite": datastore.command,
    "hook-configure": _service(hooks.configure),
    "hook-install": _service(hooks.install),
    "hook-remove": _service(hooks.remove),
}


def environment(program: Path) -> None:
    """Set the snap's variables where `snap run` did not: programs of the snap may be called by their path."""
    here = program.resolve().parent
    if "SNAP" not in os.environ:
        current = Path("/snap/microk8s/current").resolve()
        os.environ |= {
            "SNAP": str(here),
            "SNAP_REVISION": current.name,
            "SNAP_DATA": f"/var/snap/microk8s/{current.name}",
            "SNAP_COMMON": "/var/snap/microk8s/common",
            "SNAP_VERSION": "",
        }
