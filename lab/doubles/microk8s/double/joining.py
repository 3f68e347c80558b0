"""`microk8s join` [join.py]."""

from __future__ import annotations

import argparse
import http.client
import ipaddress
import json
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import arguments, certificates, datastore, node, proxy, system, tokens

WORKER_LABELS = "microk8s.io/cluster=true,node.kubernetes.io/microk8s-worker=microk8s-worker"
WORKER_MESSAGE = """
The node has joined the cluster and will appear in the nodes list in a few seconds.

This worker node gets automatically configured with the API server endpoints.
If the API servers are behind a loadbalancer please set the '--refresh-interval' to '0s' in:
    /var/snap/microk8s/current/args/apiserver-proxy
and replace the API server endpoints with the one provided by the loadbalancer in:
    /var/snap/microk8s/current/args/traefik/provider.yaml
"""
POLLS = 10


@dataclass(frozen=True)
class Connection:
    """Where to join, and with what: ADDRESS:PORT/TOKEN[/FINGERPRINT]."""

    address: str
    port: int
    token: str
    fingerprint: str


def join(words: list[str]) -> int:
    """Join the node to a cluster.

    Raises:
        node.CommandError: the member refused or is not who it should be. Files written by then stay as they are, as in
        MicroK8s.
    """
    parser = argparse.ArgumentParser(prog="microk8s join")
    parser.add_argument("connection")
    parser.add_argument("--worker", action="store_true")
    parser.add_argument("--controlplane", dest="worker", action="store_false")
    parser.add_argument("--skip-verify", action="store_true")
    parser.add_argument("--disable-low-memory-guard", action="store_true")
    chosen = parser.parse_args(words)
    connection = parse(chosen.connection)
    node.set_lock("join-in-progress")
    _join(connection, chosen.worker, verify=not chosen.skip_verify and bool(connection.fingerprint))
    node.set_lock("join-in-progress", there=False)
    print("Successfully joined the cluster.")
    return 0


def parse(text: str) -> Connection:
    """Split and check what `add-node` printed [get_valid_connection_parts].

    Raises:
        node.CommandError: it is none.
    """
    parts = text.split("/")
    endpoint = parts[0].rsplit(":", 1)
    if len(parts) not in (2, 3) or len(endpoint) != 2:
        raise _invalid("Expected format: <master_IP>:<master_PORT>/<token>[/<fingerprint>]")
    try:
        ipaddress.ip_address(endpoint[0])
    except ValueError:
        raise _invalid("Invalid master IP") from None
    if not endpoint[1].isdigit():
        raise _invalid("Master PORT not a number")
    if not 0 < int(endpoint[1]) < 65536:
        raise _invalid("Master PORT not in range 1:65535")
    if len(parts[1]) < tokens.SIZE:
        raise _invalid("Cluster token size should be at least 32 bytes")
    if len(parts) == 3 and len(parts[2]) < 12:
        raise _invalid("Fingerprint should be at least 12 bytes")
    return Connection(endpoint[0], int(endpoint[1]), parts[1], parts[2] if len(parts) == 3 else "")


def _invalid(what: str) -> node.CommandError:
    return node.CommandError(f"Invalid connection: {what}")


def _join(connection: Connection, worker: bool, verify: bool) -> None:
    if (node.common() / "default-storage").exists():
        print("WARNING: Hostpath storage is enabled and is not suitable for multi node clusters.\n")
    print(f"Contacting cluster at {connection.address}", flush=True)
    answer = _ask(connection, worker, verify)
    _adopt_network(answer)
    if worker:
        _as_worker(connection, answer)
    else:
        _as_control_plane(answer)


def _ask(connection: Connection, worker: bool, verify: bool) -> dict[str, Any]:
    """Ask to join; the member is known by its certificate's fingerprint alone."""
    request = {
        "token": connection.token,
        "hostname": node.hostname(),
        "port": str(node.AGENT_PORT),
        "worker": "as-worker" if worker else False,
        "can_handle_x509_auth": True,
        "can_handle_custom_etcd": True,
    }
    status, answer = _post(connection, "/cluster/api/v2.0/join", request, verify)
    if status != http.HTTPStatus.OK:
        error = str(answer.get("error", ""))
        raise node.CommandError(f"Connection failed. {error[:1].upper()}{error[1:]} ({status}).", 6)
    return answer


def _post(connection: Connection, path: str, body: Mapping[str, Any], verify: bool) -> tuple[int, dict[str, Any]]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    server = http.client.HTTPSConnection(connection.address, connection.port, context=context)
    try:
        server.connect()
        if verify:
            _verify(server, connection)
        server.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = server.getresponse()
        return answer.status, json.loads(answer.read())
    except http.client.HTTPException as error:
        raise node.CommandError(f"Connecting to cluster failed with {error}.", 5) from None
    except ssl.SSLError as error:
        raise node.CommandError(f"Peer node verification failed with {error}.", 4) from None
    finally:
        server.close()


def _verify(server: http.client.HTTPSConnection, connection: Connection) -> None:
    shown = server.sock.getpeercert(binary_form=True)
    if not certificates.fingerprint(ssl.DER_cert_to_PEM_cert(bytes(shown or b""))).startswith(connection.fingerprint):
        raise node.CommandError(
            f"Joining cluster failed. Could not verify the identity of {connection.address}. "
            "Use '--skip-verify' to skip server certificate check.",
            4,
        )


def _adopt_network(answer: Mapping[str, Any]) -> None:
    theirs, ours = answer.get("cluster_cidr"), arguments.get("--cluster-cidr", "kube-proxy")
    if theirs and theirs != ours:
        print(
            "WARNING: Joining a cluster that has a different CIDR. "
            "The kube-proxy CIDR configuration will be overwritten."
        )
        print(f"Cluster CIDR: {theirs} -- Node CIDR: {ours}(will be overwritten)")
        arguments.update("kube-proxy", {"--cluster-cidr": str(theirs)})


def _adopt_arguments(answer: Mapping[str, Any]) -> None:
    """The member's API port and authorization, and all of its kubelet's arguments, which replace our own."""
    wanted = {"--authorization-mode": answer.get("api_authz_mode"), "--secure-port": answer.get("apiport")}
    arguments.update("kube-apiserver", {key: value for key, value in wanted.items() if value})
    node.write_private(node.arguments_file("kubelet"), answer["kubelet_args"])
    own: dict[str, str | None] = {"--hostname-override": None}
    if arguments.get("--node-ip", "kubelet"):
        own["--node-ip"] = answer["hostname_override"]
    arguments.update("kubelet", own)


# --- as a worker ------------------------------------------------------------------------------------------------------


def _as_worker(connection: Connection, answer: Mapping[str, Any]) -> None:
    if answer["ca_key"] is not None:
        raise node.CommandError(
            "Joining process failed. Make sure the cluster you connect to supports joining worker nodes."
        )
    node.certificate("ca.remote.crt").write_text(answer["ca"])
    _adopt_arguments(answer)
    for client in certificates.clients():
        if client.name in ("kubelet", "proxy"):
            _keep_backup(client.config)
            _have_signed(connection, client)
            certificates.write_kubeconfig(client, "ca.remote.crt")
    ours = {"--client-ca-file": "${SNAP_DATA}/certs/ca.remote.crt", "--node-labels": WORKER_LABELS}
    arguments.update("kubelet", dict(ours))
    arguments.update("kube-proxy", {"--master": None, "--hostname-override": None})
    node.write_private(node.credential(tokens.CALLBACK), answer["callback_token"])
    node.set_lock("no-apiserver-proxy", there=False)
    proxy.write_endpoints([f"{connection.address}:{answer['apiport']}"])
    for lock in ("clustered.lock", "no-k8s-dqlite", "no-cert-reissue"):
        node.set_lock(lock)
    for service in ("kubelite", "apiserver-kicker", "apiserver-proxy", "k8s-dqlite"):
        system.service("restart", service)
    print(WORKER_MESSAGE)


def _keep_backup(config: str) -> None:
    shutil.copy2(node.credential(config), node.credential(f"{config}.backup"))


def _have_signed(connection: Connection, client: certificates.Client) -> None:
    csr = certificates.request(client.name, client.subject, with_addresses=client.name == "kubelet")
    body = {"token": f"{connection.token}-{client.name}", "request": csr}
    status, answer = _post(connection, "/cluster/api/v1.0/sign-cert", body, verify=False)
    if status != http.HTTPStatus.OK:
        error = str(answer.get("error", ""))
        raise node.CommandError(f"Failed to sign {client.name} certificate ({status}). {error[:1].upper()}{error[1:]}")
    node.certificate(f"{client.name}.crt").write_text(answer["certificate"])


# --- as a control plane -----------------------------------------------------------------------------------------------


def _as_control_plane(answer: Mapping[str, Any]) -> None:
    for name, key in (("ca.crt", "ca"), ("ca.key", "ca_key"), ("serviceaccount.key", "service_account_key")):
        shutil.copy2(node.certificate(name), node.certificate(f"{name}.backup"))
        node.write_private(node.certificate(name), answer[key])
    certificates.create_clients()
    _adopt_arguments(answer)
    node.write_private(node.credential(tokens.CALLBACK), answer["callback_token"])
    _join_datastore(answer)
    cni = node.arguments_file("cni-network/cni.yaml")
    node.write_private(
        cni, cni.read_text().replace("first-found", f"can-reach={answer['voters'][0].partition(':')[0]}")
    )
    node.set_lock("cni-loaded")
    node.set_lock("no-cert-reissue")


def _join_datastore(answer: Mapping[str, Any]) -> None:
    """Leave our own datastore behind and become a member of the cluster's [update_dqlite]."""
    for service in ("kubelite", "k8s-dqlite"):
        system.service("stop", service)
    time.sleep(node.PAUSE_SECONDS)  # MicroK8s: 10 s
    backup = node.backend().with_name("backend.backup")
    shutil.rmtree(backup, ignore_errors=True)
    node.backend().rename(backup)
    node.backend().mkdir()
    for name in ("cert", "key"):
        suffix = "crt" if name == "cert" else "key"
        node.write_private(node.backend() / f"cluster.{suffix}", answer[f"cluster_{name}"])
    own = str(answer["hostname_override"])
    datastore.prepare(f"{own}:{node.DATASTORE_PORT}", answer["voters"])
    system.service("start", "k8s-dqlite")
    _wait_for_membership(own)
    system.service("start", "kubelite")


def _wait_for_membership(own: str) -> None:
    """Poll for our own address among the members; if it does not come, MicroK8s goes on all the same."""
    print("Waiting for this node to finish joining the cluster.", end=" ", flush=True)
    for _ in range(POLLS):
        try:
            if own in [member.ip for member in datastore.members(timeout=1.0)]:
                break
            print(".", end=" ", flush=True)
        except OSError:
            print("..", end=" ", flush=True)
        time.sleep(node.PAUSE_SECONDS)  # MicroK8s: 2 s or 5 s
    print(" ")


def main(words: list[str]) -> int:
    """`microk8s join`: the whole command, with the status that MicroK8s ends with."""
    try:
        return join(words)
    except subprocess.CalledProcessError as error:
        print(error, file=sys.stderr)  # a traceback in MicroK8s: the node is half-joined
        return 1
