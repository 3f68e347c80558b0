"""A Secret whose texts are given, or made once: the cluster is where a secret lives, and what is there stays."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ansible.module_utils.groundwork.kubernetes.cluster import NOT_FOUND, KubernetesError, Object

SECRET_BYTES = 30
"""40 characters: what AWS's own secret keys have."""
LABELS = {"app.kubernetes.io/managed-by": "groundwork"}


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
    """The Secret.

    given  texts by key, which replace those that are there
    made   keys whose text stays as it is, and is random where there is none
    """

    namespace: str
    name: str
    given: Mapping[str, str] = field(default_factory=dict, repr=False)
    made: Sequence[str] = ()
    type: str = "Opaque"
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def collection(self) -> str:
        """Where it is made."""
        return f"/api/v1/namespaces/{self.namespace}/secrets"

    @property
    def path(self) -> str:
        """Where the Secret is."""
        return f"{self.collection}/{self.name}"


@dataclass(frozen=True)
class Plan:
    """What to do: "create", "replace" or "" for nothing. A text that is to be made is empty in `texts`."""

    action: str
    texts: Mapping[str, str] = field(repr=False)
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.action}: {self.reason}"


def observe(cluster: Secrets, path: str) -> Object | None:
    """The Secret at a path, None where there is none. Raises KubernetesError where the server refuses."""
    try:
        return cluster.get(path)
    except KubernetesError as error:
        if error.status != NOT_FOUND:
            raise
        return None


def plan(found: Object | None, wanted: Wanted) -> Plan:
    """What makes the Secret as it is wanted. Keys and labels of others stay."""
    there = texts(found)
    after = {**{key: there.get(key, "") for key in wanted.made}, **wanted.given}
    if found is None:
        return Plan("create", after, "it is not there")
    missing = [key for key in wanted.made if key not in wanted.given and not after[key]]
    other = [key for key, text in wanted.given.items() if there.get(key) != text]
    labels = found["metadata"].get("labels") or {}
    if missing or other:
        return Plan("replace", after, f"not as wanted: {', '.join(sorted({*missing, *other}))}")
    if any(labels.get(name) != value for name, value in wanted.labels.items()):
        return Plan("replace", after, "other labels")
    return Plan("", after)


def apply(cluster: Secrets, wanted: Wanted, found: Object | None, planned: Plan) -> Mapping[str, str]:
    """Do what is planned, and return the texts.

    Raises KubernetesError where the server refuses, also when somebody else was faster.
    """
    after = dict(planned.texts)
    for key in wanted.made:
        if key not in wanted.given:
            after[key] = after[key] or secrets.token_urlsafe(SECRET_BYTES)
    before = found or {"metadata": {}}
    metadata = {**before["metadata"], "name": wanted.name, "namespace": wanted.namespace}
    metadata["labels"] = {**(metadata.get("labels") or {}), **LABELS, **wanted.labels}
    body: Object = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": wanted.type,
        "data": {**(before.get("data") or {}), **{key: _encode(text) for key, text in after.items()}},
    }
    if planned.action == "create":
        cluster.create(wanted.collection, body)
    else:
        cluster.replace(wanted.path, body)
    return after


def texts(found: Object | None) -> dict[str, str]:
    """The texts of a Secret; what is no text is left out."""
    known = {}
    for key, value in ((found or {}).get("data") or {}).items():
        try:
            known[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    return known


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
