"""Certificates and kubeconfigs, made with openssl as MicroK8s does [actions/common/utils.sh]."""

from __future__ import annotations

import base64
import datetime
import hashlib
import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import arguments, node, system

YEARS_10, YEAR = "3650", "365"
KEYS = ("serviceaccount.key", "ca.key", "server.key", "front-proxy-ca.key", "front-proxy-client.key")


@dataclass(frozen=True)
class Client:
    """A component that has a certificate: its file's name, subject, and kubeconfig where it has one."""

    name: str
    subject: str
    user: str = ""
    config: str = ""


def clients() -> list[Client]:
    """The components of a control plane."""
    kubelet = f"system:node:{node.hostname()}"
    return [
        Client("kubelet", f"/CN={kubelet}/O=system:nodes", kubelet, "kubelet.config"),
        Client("client", "/CN=admin/O=system:masters", "admin", "client.config"),
        Client("proxy", "/CN=system:kube-proxy", "system:kube-proxy", "proxy.config"),
        Client("scheduler", "/CN=system:kube-scheduler", "system:kube-scheduler", "scheduler.config"),
        Client(
            "controller", "/CN=system:kube-controller-manager", "system:kube-controller-manager", "controller.config"
        ),
        Client("apiserver-kubelet-client", "/CN=kube-apiserver-kubelet-client/O=system:masters"),
    ]


# --- the cluster's own ------------------------------------------------------------------------------------------------


def produce() -> bool:
    """Make what is missing, and the server's certificates anew where addresses changed; tell whether they did."""
    for key in KEYS:
        if not node.certificate(key).exists():
            system.run("openssl", "genrsa", "-out", node.certificate(key), "2048")
    for name, subject in (("ca", "/CN=10.152.183.1"), ("front-proxy-ca", "/CN=front-proxy-ca")):
        if not node.certificate(f"{name}.crt").exists():
            _self_sign(name, subject)
    rendered = _render_request()
    current = node.certificate("csr.conf")
    if current.exists() and current.read_text() == rendered and node.certificate("front-proxy-client.crt").exists():
        return False
    current.write_text(rendered)
    issue_server()
    issue_front_proxy_client()
    return True


def ensure_server_is_ours() -> bool:
    """Make the server's certificate anew if another authority issued it; tell whether it did [ensure_server_ca]."""
    verify = ["openssl", "verify", "-no-CAfile", "-no-CApath", "-partial_chain", "-trusted"]
    if system.succeeds(*verify, node.certificate("ca.crt"), node.certificate("server.crt")):
        return False
    issue_server()
    return True


def self_signed(name: str) -> None:
    """Make one of the two authorities anew, with the key it has."""
    _self_sign(name, "/CN=10.152.183.1" if name == "ca" else "/CN=front-proxy-ca")


def _self_sign(name: str, subject: str) -> None:
    key, crt = node.certificate(f"{name}.key"), node.certificate(f"{name}.crt")
    usage = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    system.run("openssl", "req", "-x509", "-new", "-sha256", "-nodes", "-days", YEARS_10, "-key", key, "-subj", subject,
               *usage, "-out", crt)  # fmt: skip


def issue_server() -> None:
    """Issue server.crt for a year: MicroK8s does not renew it when that is over."""
    _issue_from_request("server", "ca")


def issue_front_proxy_client() -> None:
    """Issue the certificate by which extension servers know the API server, for a year too."""
    _issue_from_request("front-proxy-client", "front-proxy-ca", "/CN=front-proxy-client")


def _issue_from_request(name: str, authority: str, subject: str = "") -> None:
    conf = node.certificate("csr.conf").read_text()
    if subject:
        conf = conf.replace("prompt = no\n", "")
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(conf)
        file.flush()
        csr = node.certificate(f"{name}.csr")
        named = ["-subj", subject] if subject else []
        key, crt = node.certificate(f"{name}.key"), node.certificate(f"{name}.crt")
        system.run("openssl", "req", "-new", "-sha256", "-key", key, "-config", file.name, *named, "-out", csr)
        system.run("openssl", "x509", "-req", "-sha256", "-days", YEAR, "-extensions", "v3_ext", "-extfile", file.name,
                   "-in", csr, *_authority(authority), "-out", crt)  # fmt: skip


def _authority(name: str) -> list[str | Path]:
    return ["-CA", node.certificate(f"{name}.crt"), "-CAkey", node.certificate(f"{name}.key"), "-CAcreateserial"]


def _render_request() -> str:
    """csr.conf with the host's addresses, numbered past those that the template has [render_csr_conf]."""
    template = node.certificate("csr.conf.template").read_text()
    lines, number = [], 3
    for address in node.addresses():
        while f"\nIP.{number} " in template:
            number += 1
        lines.append(f"IP.{number} = {address}")
        number += 1
    rendered = template.replace("#MOREIPS", "\n".join(lines))
    node.certificate("csr.conf.rendered").write_text(rendered)
    return rendered


# --- components -------------------------------------------------------------------------------------------------------


def create_clients() -> None:
    """Certificates of all components, and their kubeconfigs, from the node's own authority."""
    for client in clients():
        sign(request(client.name, client.subject, with_addresses=client.name == "kubelet"), client.name)
        if client.config:
            write_kubeconfig(client)


def request(name: str, subject: str, with_addresses: bool = False) -> str:
    """A new key and a request to sign its certificate, in PEM."""
    names = ["-addext", f"subjectAltName={_names()}"] if with_addresses else []
    key = node.certificate(f"{name}.key")
    new = ("openssl", "req", "-new", "-sha256", "-newkey", "rsa:2048", "-nodes", "-subj", subject)
    return system.run(*new, *names, "-keyout", key)


def _names() -> str:
    return ",".join([f"DNS:{node.hostname()}", *(f"IP:{address}" for address in node.addresses())])


def sign(csr: str, name: str) -> None:
    """Sign a request of ours into certs/NAME.crt."""
    node.certificate(f"{name}.crt").write_text(signed(csr))


def signed(csr: str) -> str:
    """The certificate for a request, for ten years, with the names that it asks for.

    Raises:
        subprocess.CalledProcessError: it is no request.
    """
    sign = ["openssl", "x509", "-req", "-sha256", "-days", YEARS_10, "-copy_extensions", "copy"]
    return system.run(*sign, *_authority("ca"), stdin=csr)


def write_kubeconfig(client: Client, authority: str = "ca.crt") -> None:
    """Write credentials/NAME.config for the API server at this node's port."""
    port = arguments.get("--secure-port", "kube-apiserver") or str(node.API_PORT)
    node.write_private(node.credential(client.config), f"""apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {_base64(authority)}
    server: https://127.0.0.1:{port}
  name: microk8s-cluster
contexts:
- context:
    cluster: microk8s-cluster
    user: {client.user}
  name: microk8s
current-context: microk8s
kind: Config
preferences: {{}}
users:
- name: {client.user}
  user:
    client-certificate-data: {_base64(f"{client.name}.crt")}
    client-key-data: {_base64(f"{client.name}.key")}
""")  # fmt: skip


def _base64(name: str) -> str:
    return base64.b64encode(node.certificate(name).read_bytes()).decode()


# --- the datastore's --------------------------------------------------------------------------------------------------


def create_cluster_certificate() -> None:
    """The datastore's certificate: every member has it and its key."""
    folder = node.backend()
    names = f"subjectAltName=DNS:{node.hostname()},IP:127.0.0.1"
    extensions = ("-addext", names, "-addext", "basicConstraints=critical,CA:TRUE")
    new = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-sha256", "-days", YEARS_10, "-nodes", "-subj", "/CN=k8s")
    system.run(*new, *extensions, "-keyout", folder / "cluster.key", "-out", folder / "cluster.crt")


def create_member_certificate(address: str) -> None:
    """A member's own, for the address it listens on, at which etcd looks; signed with the datastore's key."""
    folder = node.backend()
    csr = system.run("openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "member.key",
                     "-subj", "/CN=k8s", "-addext", f"subjectAltName=IP:127.0.0.1,IP:{address}")  # fmt: skip
    sign = ["openssl", "x509", "-req", "-sha256", "-days", YEARS_10, "-copy_extensions", "copy", "-CAcreateserial"]
    system.run(
        *sign, "-CA", folder / "cluster.crt", "-CAkey", folder / "cluster.key", "-out", folder / "member.crt", stdin=csr
    )


# --- looking at certificates ------------------------------------------------------------------------------------------


def fingerprint(pem: str) -> str:
    """SHA-256 of a certificate; `add-node` prints its first 12 digits."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def days_left(name: str) -> int:
    """Whole days until a certificate under certs/ expires."""
    words = system.run("openssl", "x509", "-noout", "-enddate", "-in", node.certificate(name))
    end = datetime.datetime.strptime(words.strip().partition("=")[2], "%b %d %H:%M:%S %Y %Z")
    return (end.replace(tzinfo=datetime.timezone.utc) - datetime.datetime.now(datetime.timezone.utc)).days


def valid(csr: str) -> bool:
    """Whether a text is a signing request."""
    return (
        subprocess.run(["openssl", "req", "-noout", "-verify"], input=csr, text=True, capture_output=True).returncode
        == 0
    )
