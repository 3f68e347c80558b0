"""The service daemon-cluster-agent: a member's side of a join, and what nodes ask of each other (its pkg/api)."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from . import arguments, certificates, datastore, kubernetes, launch, node, system, tokens

Answer = dict[str, Any]
BY_DATASTORE = threading.Lock()  # the datastore moves for one joining node at a time


class RefusedError(Exception):
    """The request is answered with an error."""

    def __init__(self, message: str, status: int = HTTPStatus.INTERNAL_SERVER_ERROR) -> None:
        super().__init__(message)
        self.status = status


def run() -> int:
    """Serve until the end."""
    threading.Thread(target=launch.keep, daemon=True).start()
    address, _, port = (arguments.get("--bind", "cluster-agent") or "0.0.0.0:25000").rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(node.certificate("server.crt"), node.certificate("server.key"))
    with http.server.ThreadingHTTPServer((address, int(port)), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.serve_forever()
    return 0


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    timeout = 240

    def do_GET(self) -> None:
        """Answer /health alone."""
        if self.path == "/health":
            self._answer(HTTPStatus.OK, {"status": "OK"})
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "not found"})

    def do_POST(self) -> None:
        """Answer a call of the API."""
        act = CALLS.get(self.path)
        try:
            if act is None:
                raise RefusedError("not found", HTTPStatus.NOT_FOUND)
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self._answer(HTTPStatus.OK, act(body, self.headers.get("Host", ""), self.client_address[0]))
        except RefusedError as refusal:
            self._answer(refusal.status, {"error": str(refusal)})
        except (ValueError, KeyError) as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": f"failed to unmarshal: {error}"})
        except (OSError, subprocess.CalledProcessError) as error:
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": str(error)})

    def _answer(self, status: int, content: Answer) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


# --- join -------------------------------------------------------------------------------------------------------------


def join(body: Mapping[str, Any], host: str, remote: str) -> Answer:
    """Let a node join; the token is spent even if a later step refuses (pkg/api/v2/join.go).

    Raises:
        RefusedError: it may not.
    """
    token, worker = str(body.get("token", "")), bool(body.get("worker"))
    contacted = host.rpartition(":")[0]
    if not tokens.consume_cluster_token(token):
        raise RefusedError("invalid token")
    _check(body, contacted, remote)
    with BY_DATASTORE:
        _admit(contacted, remote)
    _prefer_route_to(remote)
    node.set_lock("no-cert-reissue")
    answer = _common(remote)
    return answer | (_for_worker(token) if worker else _for_control_plane())


def _check(body: Mapping[str, Any], contacted: str, remote: str) -> None:
    if not node.locked("ha-cluster"):
        raise RefusedError("not possible to join. This is not an HA MicroK8s cluster", HTTPStatus.NOT_IMPLEMENTED)
    port = (arguments.get("--bind", "cluster-agent") or "").rpartition(":")[2]
    if str(body.get("port")) != port:
        raise RefusedError(f"the port of the cluster agent port has to be set to {port}", HTTPStatus.BAD_GATEWAY)
    if contacted == remote:
        message = f"the joining node has the same IP ({contacted}) as the node we contact"
        raise RefusedError(message, HTTPStatus.SERVICE_UNAVAILABLE)
    name = str(body.get("hostname"))
    if not _prefers_addresses() and not _resolves(name, remote):
        message = f'the hostname ({name}) of the joining node does not resolve to the IP "{remote}". Refusing join'
        raise RefusedError(message, HTTPStatus.BAD_REQUEST)


def _prefers_addresses() -> bool:
    types = (arguments.get("--kubelet-preferred-address-types", "kube-apiserver") or "Hostname").split(",")
    return "InternalIP" in types and ("Hostname" not in types or types.index("InternalIP") < types.index("Hostname"))


def _resolves(name: str, address: str) -> bool:
    try:
        return address in socket.gethostbyname_ex(name)[2]
    except OSError:
        return False


def _admit(contacted: str, remote: str) -> None:
    """Refuse who is a member already; move the datastore off the loopback at the first join."""
    try:
        known = datastore.members()
        if remote in [member.ip for member in known]:
            raise RefusedError(
                f"failed to retrieve dqlite cluster nodes: the joining node ({remote}) is already known to dqlite"
            )
        if [member.address for member in known] == [datastore.LOCAL]:
            if contacted not in node.addresses():
                raise RefusedError(_no_such_address(contacted))
            datastore.rebind(f"{contacted}:{node.DATASTORE_PORT}")
    except OSError as error:
        raise RefusedError(f"failed to retrieve dqlite cluster nodes: {error}") from None


def _no_such_address(address: str) -> str:
    return (
        "failed to retrieve dqlite cluster nodes: failed to find matching dqlite bind address for "
        f"{address}:{node.AGENT_PORT}: "
        f"address {address} was not found in any host interface. refuse to update dqlite bind address to {address} "
        "as it would break the cluster"
    )


def _prefer_route_to(remote: str) -> None:
    """Calico then finds a node's address by its route to the joining one; where that fails it is only logged."""
    file = node.arguments_file("cni-network/cni.yaml")
    if "first-found" in (text := file.read_text()):
        node.write_private(file, text.replace("first-found", f"can-reach={remote}"))
        if not kubernetes_apply(str(file)):
            print("WARNING: failed to update cni configuration", flush=True)


def kubernetes_apply(file: str) -> bool:
    """Apply a file; the API server may be away for some seconds, as its datastore has just moved."""
    return node.wait_for(lambda: system.succeeds(*kubernetes.kubectl_words(), "apply", "-f", file), seconds=60)


def _common(remote: str) -> Answer:
    return {
        "ca": node.certificate("ca.crt").read_text(),
        "callback_token": tokens.callback(),
        "apiport": arguments.get("--secure-port", "kube-apiserver"),
        "api_authz_mode": arguments.get("--authorization-mode", "kube-apiserver"),
        "kubelet_args": arguments.read("kubelet"),
        "hostname_override": remote,
        "cluster_cidr": arguments.get("--cluster-cidr", "kube-proxy"),
    }


def _for_worker(token: str) -> Answer:
    for component in ("kubelet", "proxy"):
        tokens.add(tokens.CERTIFICATES, f"{token}-{component}")
    return {"ca_key": None, "control_plane_nodes": [member.ip for member in datastore.members()]}


def _for_control_plane() -> Answer:
    return {
        "ca_key": node.certificate("ca.key").read_text(),
        "service_account_key": node.certificate("serviceaccount.key").read_text(),
        "cluster_cert": (node.backend() / "cluster.crt").read_text(),
        "cluster_key": (node.backend() / "cluster.key").read_text(),
        "voters": [member.address for member in datastore.members() if member.role == datastore.VOTER],
    }


# --- other calls ------------------------------------------------------------------------------------------------------


def sign_certificate(body: Mapping[str, Any], _host: str, _remote: str) -> Answer:
    """Sign the certificate of a worker that just joined.

    Raises:
        RefusedError: its token is not known, or the request is none.
    """
    if not tokens.consume_certificate_token(str(body["token"])):
        raise RefusedError("invalid token")
    if not certificates.valid(str(body["request"])):
        raise RefusedError("failed to sign certificate: no signing request")
    return {"certificate": certificates.signed(str(body["request"]))}


def configure(body: Mapping[str, Any], _host: str, _remote: str) -> Answer:
    """Change arguments of services, for another node of the cluster.

    Raises:
        RefusedError: the caller does not know the cluster's token.
    """
    if body["callback"] != tokens.callback():
        raise RefusedError("invalid token")
    for service in body.get("service") or []:
        changes: dict[str, str | None] = dict.fromkeys(service.get("arguments_remove") or [])
        for update in service.get("arguments_update") or []:
            changes |= update
        arguments.update(service["name"], changes)
        if service.get("restart"):
            system.service("restart", service["name"])
    return {"result": "ok"}


CALLS: dict[str, Callable[[Mapping[str, Any], str, str], Answer]] = {
    "/cluster/api/v2.0/join": join,
    "/cluster/api/v1.0/sign-cert": sign_certificate,
    "/cluster/api/v1.0/configure": configure,
}
