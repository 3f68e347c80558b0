"""Buckets and keys of consumers."""

from __future__ import annotations

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.s3.client import Key
from ansible.module_utils.groundwork.s3.consumer import State, Wanted, apply, observe, plan

from tests.unit.module_utils.fakes import waiter
from tests.unit.module_utils.s3.fake_store import ROOT, FakeStore

APP = Key("app", "app-secret")
OURS = Wanted("app", APP, ROOT)
THEIRS = Wanted("app", APP)


@pytest.mark.parametrize(
    ("state", "wanted", "kinds"),
    [
        (State(True, "app"), OURS, []),
        (State(None, ""), OURS, ["create_user", "create_bucket"]),
        (State(False, "app"), OURS, ["update_user"]),
        (State(True, ""), OURS, ["create_bucket"]),
        (State(None, "other"), OURS, ["create_user", "change_owner"]),
        (State(True, "app"), THEIRS, []),
        (State(True, ""), THEIRS, ["create_own_bucket"]),
    ],
)
def test_what_is_missing_is_planned(state: State, wanted: Wanted, kinds: list[str]) -> None:
    actions = plan(state, wanted)
    assert [action.kind for action in actions] == kinds
    assert "secret" not in " ".join(map(str, actions)).replace("another secret", "")


@pytest.mark.parametrize(
    ("users", "owners"),
    [({}, {}), ({"app": "old"}, {"app": "app"}), ({"other": "x"}, {"app": "other"}), ({"app": "app-secret"}, {})],
)
def test_a_consumer_has_its_bucket_and_needs_nothing_more(users: dict[str, str], owners: dict[str, str]) -> None:
    store = FakeStore()
    store.users |= users
    store.owners |= owners
    apply(store, OURS, plan(observe(store, OURS), OURS), waiter())
    assert (store.users["app"], store.owners["app"]) == ("app-secret", "app")
    assert plan(observe(store, OURS), OURS) == []


def test_another_store_is_given_a_bucket_alone() -> None:
    store = FakeStore()
    store.users["app"] = "app-secret"
    apply(store, THEIRS, plan(observe(store, THEIRS), THEIRS), waiter())
    assert store.owners == {"app": "app"}
    assert not any(line.startswith("PATCH") for line in store.log)


def test_a_key_that_opens_nothing_is_told() -> None:
    with pytest.raises(GroundworkError, match=r"refused \(look at the bucket app\): InvalidAccessKeyId"):
        observe(FakeStore(), THEIRS)


def test_an_administrator_with_a_wrong_secret_is_told() -> None:
    with pytest.raises(GroundworkError, match="SignatureDoesNotMatch"):
        observe(FakeStore(), Wanted("app", APP, Key("root", "wrong")))


def test_the_gateway_may_remember_an_old_secret_for_a_while() -> None:
    store = FakeStore()
    store.users["app"], store.owners["app"] = "app-secret", "app"
    store.stale = 3
    apply(store, OURS, [], waiter())
    store.stale = 100
    with pytest.raises(GroundworkError, match="open the bucket app with its key"):
        apply(store, OURS, [], waiter())
