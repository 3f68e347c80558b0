"""A consumer of an object store: a bucket and a key of its own.

Versity S3 Gateway makes both, by its own administration requests (its `versitygw admin` sends the same). S3 itself has
no common way to make keys: with another store the key is given, and the bucket alone is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.s3.client import Answer, Key, Store
from ansible.module_utils.groundwork.waiting import Waiter

NOT_FOUND = 404
Kind = Literal["create_user", "update_user", "create_bucket", "change_owner", "create_own_bucket"]


@dataclass(frozen=True)
class Wanted:
    """The bucket, the key that has it, and the key of who administers the gateway; None for another store."""

    bucket: str
    key: Key
    administrator: Key | None = None


@dataclass(frozen=True)
class State:
    """What the store knows of the consumer: whether its key is as wanted (None: there is none), and who has the bucket.

    owner  "" where there is no bucket
    """

    key_fits: bool | None
    owner: str


@dataclass(frozen=True)
class Action:
    """One step, and why."""

    kind: Kind
    reason: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}"


def observe(store: Store, wanted: Wanted) -> State:
    """What the store knows. Raises GroundworkError where it refuses."""
    if wanted.administrator is None:
        return _observe_by_key(store, wanted)
    users = _good(store.ask("PATCH", "/list-users", wanted.administrator), "list the users")
    secrets = {_child(user, "Access"): _child(user, "Secret") for user in users.elements("Accounts")}
    buckets = _good(store.ask("PATCH", "/list-buckets", wanted.administrator), "list the buckets")
    owners = {_child(bucket, "Name"): _child(bucket, "Owner") for bucket in buckets.elements("Buckets")}
    fits = secrets[wanted.key.access] == wanted.key.secret if wanted.key.access in secrets else None
    return State(fits, owners.get(wanted.bucket, ""))


def _observe_by_key(store: Store, wanted: Wanted) -> State:
    found = store.ask("HEAD", f"/{wanted.bucket}", wanted.key)
    if found.good:
        return State(True, wanted.key.access)
    if found.status == NOT_FOUND:
        return State(True, "")
    raise _refused(found, f"look at the bucket {wanted.bucket}")


def plan(state: State, wanted: Wanted) -> list[Action]:
    """What makes the consumer as it is wanted, in order. Nothing is ever deleted."""
    if wanted.administrator is None:
        return [] if state.owner else [Action("create_own_bucket", f"there is no bucket {wanted.bucket}")]
    actions = []
    if state.key_fits is None:
        actions.append(Action("create_user", f"there is no key {wanted.key.access}"))
    elif not state.key_fits:
        actions.append(Action("update_user", f"the key {wanted.key.access} has another secret"))
    if not state.owner:
        actions.append(Action("create_bucket", f"there is no bucket {wanted.bucket}"))
    elif state.owner != wanted.key.access:
        actions.append(Action("change_owner", f"the bucket {wanted.bucket} is {state.owner}'s"))
    return actions


def apply(store: Store, wanted: Wanted, actions: list[Action], waiter: Waiter) -> None:
    """Do what is planned, and wait until the key opens the bucket: the gateway remembers keys for a while.

    Raises GroundworkError where the store refuses.
    """
    for action in actions:
        _good(_do(store, wanted, action.kind), action.reason)
    waiter.need(
        lambda: store.ask("HEAD", f"/{wanted.bucket}", wanted.key),
        lambda answer: answer.good,
        lambda answer: _refused(answer, f"open the bucket {wanted.bucket} with its key"),
    )


def _do(store: Store, wanted: Wanted, kind: Kind) -> Answer:
    administrator, key, bucket = wanted.administrator, wanted.key, wanted.bucket
    if kind == "create_user":
        body = _xml("Account", {"Access": key.access, "Secret": key.secret, "Role": "user"})
        return store.ask("PATCH", "/create-user", administrator, body=body)
    if kind == "update_user":
        body = _xml("MutableProps", {"Secret": key.secret})
        return store.ask("PATCH", "/update-user", administrator, query={"access": key.access}, body=body)
    if kind == "create_bucket":
        return store.ask("PATCH", f"/{bucket}/create", administrator, headers={"x-vgw-owner": key.access})
    if kind == "change_owner":
        query = {"bucket": bucket, "owner": key.access}
        return store.ask("PATCH", "/change-bucket-owner", administrator, query=query)
    return store.ask("PUT", f"/{bucket}", key)


def _good(answer: Answer, doing: str) -> Answer:
    if not answer.good:
        raise _refused(answer, doing)
    return answer


def _refused(answer: Answer, doing: str) -> GroundworkError:
    said = f"{answer.code or f'HTTP {answer.status}'} {answer.text('Message')}".strip()
    return GroundworkError(
        f"The object store refused ({doing}): {said}", "Correct the key or its rights, or see the store's own log."
    )


def _xml(name: str, texts: Mapping[str, str]) -> bytes:
    root = ElementTree.Element(name)
    for child, text in texts.items():
        ElementTree.SubElement(root, child).text = text
    return ElementTree.tostring(root)


def _child(element: ElementTree.Element, name: str) -> str:
    return next((child.text or "" for child in element if child.tag.rpartition("}")[2] == name), "")
