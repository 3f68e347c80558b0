"""The datastore: etcd, in the place of dqlite and with dqlite's files and words.

A member is known by ADDRESS:19001, where etcd speaks with its peers. The API server reaches it by the socket that
k8s-dqlite has; members reach each other's data at port 19002, which dqlite does not have. Roles are dqlite's
(go-dqlite/app/roles.go): one voter among one or two members, three among three and more, then three standbys, then
spares. In etcd all of them vote.
"""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from . import certificates, node, system

CLIENT_PORT = 19002
VOTER, STANDBY, SPARE = 0, 1, 2
ROLE_NAMES = {VOTER: "voter", STANDBY: "standby", SPARE: "spare"}
ORDER = "/microk8s/members/"  # the order of joining, which decides who votes
LOCAL = f"127.0.0.1:{node.DATASTORE_PORT}"
REFRESH_SECONDS = 5.0


@dataclass(frozen=True)
class Member:
    """A member of the datastore, as `dqlite .cluster` shows it."""

    id: int
    address: str
    role: int

    @property
    def ip(self) -> str:
        """The address without its port."""
        return self.address.rpartition(":")[0]


def roles(addresses: Sequence[str]) -> dict[str, int]:
    """The role of each member, in the order in which they joined."""
    voters = 3 if len(addresses) >= 3 else 1
    standbys = 3 if len(addresses) > voters >= 3 else 0
    wanted = [VOTER] * voters + [STANDBY] * standbys
    return {address: wanted[index] if index < len(wanted) else SPARE for index, address in enumerate(addresses)}


# --- asking it --------------------------------------------------------------------------------------------------------


def members(timeout: float = 4.0) -> list[Member]:
    """All members in the order of joining.

    Raises:
        OSError: the datastore does not answer.
    """
    listed = _etcdctl_json("member", "list", timeout=timeout)["members"]
    joined = _etcdctl_json("get", ORDER, "--prefix", "--sort-by=CREATE", timeout=timeout).get("kvs", [])
    order = [_decode(pair["key"]).removeprefix(ORDER) for pair in joined]
    ids = {_address(each): each["ID"] for each in listed if each.get("peerURLs")}
    known = sorted(ids, key=lambda address: order.index(address) if address in order else len(order))
    role = roles(known)
    return [Member(ids[address], address, role[address]) for address in known]


def remove(address: str) -> None:
    """Remove a member.

    Raises:
        OSError: there is none with this address, or the datastore does not answer.
    """
    found = [member for member in members() if member.address == address]
    if not found:
        raise OSError(f"no member has address {address}")
    _etcdctl("del", f"{ORDER}{address}")
    _etcdctl("member", "remove", f"{found[0].id:x}")  # last: a member that removes itself is answered no more


def rebind(address: str) -> None:
    """Give the only member another address; returns when it is back [MaybeUpdateDqliteBindAddress]."""
    only = members()[0]
    _etcdctl("member", "update", f"{only.id:x}", f"--peer-urls=https://{address}")
    _etcdctl("put", f"{ORDER}{address}", "")
    _etcdctl("del", f"{ORDER}{only.address}")
    (node.backend() / "update.yaml").write_text(yaml.safe_dump({"Address": address}))
    system.service("restart", "k8s-dqlite")
    if not node.wait_for(lambda: own_address() == address and _answers(), seconds=60):
        raise OSError(f"the datastore did not come up at {address}")


def own_address() -> str:
    """This node's address in the datastore, as info.yaml has it."""
    try:
        return str(yaml.safe_load((node.backend() / "info.yaml").read_text())["Address"])
    except FileNotFoundError:
        return ""


def _answers() -> bool:
    try:
        return bool(members())
    except OSError:
        return False


def _address(listed: dict[str, Any]) -> str:
    return str(listed["peerURLs"][0]).removeprefix("https://")


def _decode(text: str) -> str:
    return base64.b64decode(text).decode()


def _etcdctl_json(*arguments: str, timeout: float = 4.0, endpoints: str = "") -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(_etcdctl(*arguments, "--write-out=json", timeout=timeout, endpoints=endpoints))
    return answer


def _etcdctl(*arguments: str, timeout: float = 10.0, endpoints: str = "") -> str:
    folder = node.backend()
    where = endpoints or f"unix://{folder}/kine.sock:12379"
    tls = (
        [f"--cacert={folder}/cluster.crt", f"--cert={folder}/member.crt", f"--key={folder}/member.key"]
        if endpoints
        else []
    )
    flags = [f"--endpoints={where}", f"--command-timeout={timeout:.0f}s", *tls]
    try:
        return system.run(node.snap() / "bin/etcdctl", *flags, *arguments, timeout=timeout + 2)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise OSError(f"the datastore does not answer: {said.strip()[-300:]}") from None


# --- running it -------------------------------------------------------------------------------------------------------


def prepare(address: str = LOCAL, voters: Iterable[str] = ()) -> None:
    """Lay down init.yaml, with which the service makes a datastore, or joins that of `voters` [init_cluster]."""
    wanted = {"Address": address} | ({"Cluster": list(voters)} if voters else {})
    (node.backend() / "init.yaml").write_text(yaml.safe_dump(wanted))


def run() -> int:
    """The service daemon-k8s-dqlite; returns when etcd ends."""
    if node.locked("no-k8s-dqlite") or not node.arguments_file("k8s-dqlite").exists():
        print("k8s-dqlite will not run")
        return 0
    time.sleep(node.PAUSE_SECONDS)  # MicroK8s: 6 s
    address, cluster = _begin()
    certificates.create_member_certificate(address.rpartition(":")[0])
    (node.backend() / "kine.sock:12379").unlink(missing_ok=True)
    with subprocess.Popen([str(node.snap() / "bin/etcd"), *_flags(address, cluster)]) as etcd:
        signal.signal(signal.SIGTERM, lambda number, frame: _pass_on(etcd, number, frame))
        _attend(etcd, address, joining=bool(cluster))
        return max(etcd.returncode, 0)  # ended by a signal: asked to


def _pass_on(etcd: subprocess.Popen[bytes], number: int, _: FrameType | None) -> None:
    etcd.send_signal(number)


def _begin() -> tuple[str, str]:
    """Where to listen, and the member list to join with, out of the one-shot files; they are gone afterwards."""
    folder = node.backend()
    init, update, started = folder / "init.yaml", folder / "update.yaml", folder / "etcd"
    if init.exists() and started.exists():
        sys.exit(f"{init} and data are both there: refusing to start")  # as KD/pkg/server/server.go
    if init.exists():
        wanted = yaml.safe_load(init.read_text())
        address = str(wanted["Address"])
        certificates.create_member_certificate(address.rpartition(":")[0])
        cluster = _announce(address, wanted["Cluster"]) if wanted.get("Cluster") else ""
        _replace(
            folder / "cluster.yaml",
            [{"Address": each, "ID": 0, "Role": VOTER} for each in wanted.get("Cluster", [address])],
        )
        _write_info(address, VOTER)
        init.unlink()
        return address, cluster
    if update.exists():
        _write_info(str(yaml.safe_load(update.read_text())["Address"]), VOTER)
        update.unlink()
    return own_address(), ""


def _announce(address: str, voters: Sequence[str]) -> str:
    """Tell the datastore that a member comes, which counts only when it has caught up; returns the member list."""
    endpoints = _clients(voters)
    known = _etcdctl_json("member", "list", endpoints=endpoints)["members"]
    stale = [each for each in known if _address(each) == address]
    if not stale:
        _etcdctl("member", "add", address, f"--peer-urls=https://{address}", "--learner", endpoints=endpoints)
    others = [f"{each['name']}=https://{_address(each)}" for each in known if each not in stale]
    return ",".join([*others, f"{address}=https://{address}"])


def _clients(addresses: Iterable[str]) -> str:
    return ",".join(f"https://{address.rpartition(':')[0]}:{CLIENT_PORT}" for address in addresses)


def _flags(address: str, cluster: str) -> list[str]:
    folder, (ip, _, _) = node.backend(), address.rpartition(":")
    first = [
        f"--initial-cluster={cluster or f'{address}=https://{address}'}",
        f"--initial-advertise-peer-urls=https://{address}",
    ]
    tls = [
        f"--{of}{flag}={folder}/{file}"
        for of in ("", "peer-")
        for flag, file in (("trusted-ca-file", "cluster.crt"), ("cert-file", "member.crt"), ("key-file", "member.key"))
    ]
    return [
        f"--name={_name(address)}",
        f"--data-dir={folder}/etcd",
        *first,
        f"--initial-cluster-state={'existing' if cluster else 'new'}",
        f"--listen-peer-urls=https://{address}",
        f"--listen-client-urls=unix://{folder}/kine.sock:12379,https://{ip}:{CLIENT_PORT}",
        f"--advertise-client-urls=https://{ip}:{CLIENT_PORT}",
        *tls,
        "--client-cert-auth",
        "--peer-client-cert-auth",
        "--peer-skip-client-san-verification",
        # Three datastores share one disk in a lab, and a lab's host never loses power without its machine.
        "--unsafe-no-fsync",
        # Slower than usual, for a machine that several hosts share; a new member's first word, if it is lost, is said
        # again only after 5 s and two of these timeouts.
        "--heartbeat-interval=200",
        "--election-timeout=2000",
        "--auto-compaction-retention=10m",
        "--log-level=warn",
    ]


def _name(address: str) -> str:
    """A member keeps the name it was born with, whatever its address becomes."""
    file = node.backend() / "name"
    if not file.exists():
        file.write_text(address)
    return file.read_text()


def _attend(etcd: subprocess.Popen[bytes], address: str, joining: bool) -> None:
    """Keep dqlite's files true while etcd runs; make a new member a voter as soon as it has caught up."""
    votes, listed = not joining, False
    while etcd.poll() is None:
        with contextlib.suppress(OSError):
            votes = votes or _promote(address)
            listed = listed or _enlist(address)
            _show(members(), address)
        with contextlib.suppress(subprocess.TimeoutExpired):
            etcd.wait(REFRESH_SECONDS if listed else 0.5)


def _promote(address: str) -> bool:
    endpoints = _clients(each["Address"] for each in _known() if each["Address"] != address)
    me = next(
        each for each in _etcdctl_json("member", "list", endpoints=endpoints)["members"] if _address(each) == address
    )
    if me.get("isLearner"):
        _etcdctl("member", "promote", f"{me['ID']:x}", endpoints=endpoints)
    return True


def _known() -> list[dict[str, Any]]:
    known: list[dict[str, Any]] = yaml.safe_load((node.backend() / "cluster.yaml").read_text())
    return known


def _enlist(address: str) -> bool:
    if not _etcdctl_json("get", f"{ORDER}{address}").get("kvs"):
        _etcdctl("put", f"{ORDER}{address}", "")
    return True


def _show(found: Sequence[Member], address: str) -> None:
    """Write cluster.yaml and info.yaml where they changed."""
    _replace(node.backend() / "cluster.yaml", [_as_yaml(member) for member in found])
    for member in found:
        if member.address == address:
            _replace(node.backend() / "info.yaml", _as_yaml(member))


def _as_yaml(member: Member) -> dict[str, Any]:
    return {"Address": member.address, "ID": member.id, "Role": member.role}


def _write_info(address: str, role: int) -> None:
    _replace(node.backend() / "info.yaml", {"Address": address, "ID": 0, "Role": role})


def _replace(file: Path, content: Any) -> None:
    text = yaml.safe_dump(content)
    if not file.exists() or file.read_text() != text:
        node.write_private(file, text)


# --- the command dqlite -----------------------------------------------------------------------------------------------


def command(arguments: Sequence[str]) -> int:
    """`SNAP/bin/dqlite -s … k8s ".cluster" | ".leader" | ".remove ADDRESS"`; prints JSON as dqlite does."""
    words = arguments[-1].split()
    try:
        if words[0] == ".cluster":
            listed = [{"ID": each.id, "Address": each.address, "Role": each.role} for each in members()]
            print(json.dumps(listed, indent="\t"))
        elif words[0] == ".leader":
            print(members()[0].address)
        elif words[0] == ".remove":
            remove(words[1])
        else:
            print(f"unknown command {words[0]}", file=sys.stderr)
            return 1
    except (OSError, IndexError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0
