"""A Secret with a server's certificate, signed by the site's own authority, which is another Secret.

Both are of type kubernetes.io/tls (https://kubernetes.io/docs/concepts/configuration/secret/#tls-secrets); a server's
has the authority's certificate too, as `ca.crt`, as cert-manager's have.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ansible.module_utils.groundwork import certificates
from ansible.module_utils.groundwork.certificates import Pair
from ansible.module_utils.groundwork.kubernetes.cluster import NOT_FOUND, KubernetesError, Object
from ansible.module_utils.groundwork.kubernetes.secret import LABELS, Secrets

AUTHORITY = ("kube-system", "site-ca")
"""Where the authority is: who reads Secrets there is an administrator of the cluster anyhow."""


@dataclass(frozen=True)
class Wanted:
    """The Secret, the names and addresses of the server, and the name of an authority that would be made.

    labels  what a Secret that is made has beside ours
    """

    namespace: str
    name: str
    names: Sequence[str]
    authority_name: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """What is there: the authority, the server's pair, and the version of its Secret."""

    authority: Pair | None
    server: Pair | None
    version: str = ""


@dataclass(frozen=True)
class Plan:
    """What to do: make the authority, and make the server's certificate for this reason ("" for none)."""

    authority: bool
    reason: str

    @property
    def actions(self) -> list[str]:
        """What will be done, in words."""
        made = ["make the authority: it is not there"] if self.authority else []
        return made + ([f"sign: {self.reason}"] if self.reason else [])


def observe(cluster: Secrets, wanted: Wanted) -> State:
    """The two Secrets.

    Raises KubernetesError where the server refuses.
    """
    authority = _get(cluster, *AUTHORITY)
    server = _get(cluster, wanted.namespace, wanted.name)
    version = str(server["metadata"]["resourceVersion"]) if server else ""
    return State(_pair(authority), _pair(server), version)


def plan(found: State, wanted: Wanted) -> Plan:
    """What makes the certificate serve. One that does stays, whatever else it names.

    Raises GroundworkError where a wanted name is none.
    """
    if found.authority is None:
        return Plan(authority=True, reason="the authority is new" if found.server else "it is not there")
    if found.server is None:
        return Plan(authority=False, reason="it is not there")
    return Plan(authority=False, reason=certificates.fault(found.server, found.authority.certificate, wanted.names))


def apply(cluster: Secrets, wanted: Wanted, found: State, planned: Plan) -> str:
    """Do what is planned, and return the authority's certificate.

    Raises GroundworkError where a name is none or the server refuses, also when somebody else was faster.
    """
    authority = found.authority or certificates.make_authority(wanted.authority_name)
    if planned.authority:
        cluster.create(_collection(AUTHORITY[0]), _secret(*AUTHORITY, authority))
    if planned.reason:
        made = certificates.make_server(authority, wanted.names)
        body = _secret(wanted.namespace, wanted.name, made, authority.certificate)
        body["metadata"]["labels"] = {**LABELS, **wanted.labels}
        if found.version:
            body["metadata"]["resourceVersion"] = found.version
            cluster.replace(f"{_collection(wanted.namespace)}/{wanted.name}", body)
        else:
            cluster.create(_collection(wanted.namespace), body)
    return authority.certificate


def _collection(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/secrets"


def _get(cluster: Secrets, namespace: str, name: str) -> Object | None:
    try:
        return cluster.get(f"{_collection(namespace)}/{name}")
    except KubernetesError as error:
        if error.status != NOT_FOUND:
            raise
        return None


def _pair(secret: Object | None) -> Pair | None:
    if secret is None:
        return None
    data = secret.get("data") or {}
    return Pair(*(base64.b64decode(data.get(key, "")).decode() for key in ("tls.crt", "tls.key")))


def _secret(namespace: str, name: str, pair: Pair, authority: str = "") -> Object:
    texts = {"tls.crt": pair.certificate, "tls.key": pair.key} | ({"ca.crt": authority} if authority else {})
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": LABELS},
        "type": "kubernetes.io/tls",
        "stringData": texts,
    }
