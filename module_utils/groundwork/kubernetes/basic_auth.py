"""A Secret with a user's name, a password that is made once, and the password's hash as Prometheus's programs read it.

https://prometheus.io/docs/prometheus/latest/configuration/https/ : basic_auth_users in a --web.config.file.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ansible.module_utils.groundwork import bcrypt
from ansible.module_utils.groundwork.kubernetes.cluster import NOT_FOUND, KubernetesError, Object

PASSWORD_BYTES = 24
LABELS = {"app.kubernetes.io/part-of": "groundwork"}


class Secrets(Protocol):
    """What this needs of a cluster."""

    def get(self, path: str, **query: str) -> Object:
        """The object at a path of the API."""

    def create(self, path: str, body: Object) -> Object:
        """The object as the server made it in the collection at `path`."""

    def replace(self, path: str, body: Object) -> Object:
        """The object as the server put it in place of the one at `path`."""


@dataclass(frozen=True)
class Wanted:
    """The Secret; a password of "" means: the one that is there, or a new one.

    certificate  the folder of tls.crt and tls.key where the program runs; "" for one that does not encrypt
    """

    namespace: str
    name: str
    username: str
    password: str = field(default="", repr=False)
    certificate: str = ""

    @property
    def path(self) -> str:
        """Where the Secret is."""
        return f"{self.collection}/{self.name}"

    @property
    def collection(self) -> str:
        """Where it is made."""
        return f"/api/v1/namespaces/{self.namespace}/secrets"


@dataclass(frozen=True)
class Plan:
    """What to do: "create", "replace" or "" for nothing; `password` is empty where it would be made."""

    action: str
    password: str = field(repr=False)
    reason: str = ""


def observe(cluster: Secrets, wanted: Wanted) -> Object | None:
    """The Secret, None where there is none.

    Raises KubernetesError where the server refuses.
    """
    try:
        return cluster.get(wanted.path)
    except KubernetesError as error:
        if error.status != NOT_FOUND:
            raise
        return None


def plan(found: Object | None, wanted: Wanted) -> Plan:
    """What makes the Secret as it is wanted. A password that is there stays, unless another one is given."""
    if found is None:
        return Plan("create", wanted.password, "it is not there")
    texts = _texts(found)
    password = wanted.password or texts.get("password", "")
    if not password or password != texts.get("password"):
        return Plan("replace", password, "another password is given" if wanted.password else "it has no password")
    if texts.get("username") != wanted.username:
        return Plan("replace", password, "another user's name is given")
    hashed = _hash(texts.get("web.yml", ""), wanted.username)
    if not bcrypt.matches(password, hashed):
        return Plan("replace", password, "the hash is not the password's")
    if texts["web.yml"] != web_config(wanted, hashed):
        return Plan("replace", password, "another certificate is wanted")
    return Plan("", password)


def apply(cluster: Secrets, wanted: Wanted, found: Object | None, planned: Plan) -> str:
    """Do what is planned, and return the password.

    Raises KubernetesError where the server refuses, also when somebody else was faster.
    """
    password = planned.password or secrets.token_urlsafe(PASSWORD_BYTES)
    body: Object = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": wanted.name, "namespace": wanted.namespace, "labels": LABELS},
        "type": "Opaque",
        "stringData": {
            "username": wanted.username,
            "password": password,
            "web.yml": web_config(wanted, bcrypt.digest(password)),
        },
    }
    if planned.action == "create":
        cluster.create(wanted.collection, body)
    else:
        body["metadata"]["resourceVersion"] = (found or {})["metadata"]["resourceVersion"]
        cluster.replace(wanted.path, body)
    return password


def web_config(wanted: Wanted, hashed: str) -> str:
    """The --web.config.file; JSON is YAML."""
    said: dict[str, object] = {"basic_auth_users": {wanted.username: hashed}}
    if wanted.certificate:
        files = {"cert_file": f"{wanted.certificate}/tls.crt", "key_file": f"{wanted.certificate}/tls.key"}
        said["tls_server_config"] = files
    return json.dumps(said) + "\n"


def _hash(web: str, username: str) -> str:
    try:
        return str(json.loads(web)["basic_auth_users"][username])
    except (ValueError, KeyError, TypeError):
        return ""


def _texts(secret: Object) -> Mapping[str, str]:
    try:
        return {name: base64.b64decode(value).decode() for name, value in (secret.get("data") or {}).items()}
    except (binascii.Error, UnicodeDecodeError):
        return {}
