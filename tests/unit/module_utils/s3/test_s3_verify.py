"""An object store, judged from outside."""

from __future__ import annotations

import pytest
from ansible.module_utils.groundwork.s3.client import Key
from ansible.module_utils.groundwork.s3.verify import look, prove

from tests.unit.module_utils.s3.fake_store import FakeStore

APP = Key("app", "app-secret")


@pytest.fixture
def store() -> FakeStore:
    made = FakeStore()
    made.users["app"], made.owners["app"] = "app-secret", "app"
    return made


@pytest.mark.parametrize(
    ("key", "status", "observed"),
    [
        (APP, "ok", "accepts the key app"),
        (Key("app", "wrong"), "failed", "the key app: HTTP 403 SignatureDoesNotMatch"),
        (Key("nobody", "x"), "failed", "the key nobody: HTTP 403 InvalidAccessKeyId"),
    ],
)
def test_a_wrong_key_is_found_before_anything_is_written(
    store: FakeStore, key: Key, status: str, observed: str
) -> None:
    answers, right = look(store, "https://s3", key)
    assert (answers.status, right.status) == ("ok", status)
    assert observed in right.observed
    assert store.log == ["GET /"]


def test_a_store_that_does_not_answer_says_what_to_do(store: FakeStore) -> None:
    store.down = True
    answers, right = look(store, "https://s3", APP)
    assert (answers.status, answers.remedy, right.status) == ("failed", "Start it.", "skipped")
    assert [check.status for check in prove(store, "app", APP)] == ["failed", "skipped"]


def test_objects_are_kept_for_the_key_alone_and_nothing_is_left(store: FakeStore) -> None:
    assert [check.status for check in prove(store, "app", APP)] == ["ok", "ok"]
    assert store.objects == {}


def test_a_store_that_lets_strangers_in_is_found_out(store: FakeStore) -> None:
    store.open = True
    keeps, refuses = prove(store, "app", APP)
    assert (keeps.status, refuses.status) == ("ok", "failed")
    for request in ("GET /app/verify-", "PUT /app/verify-", "DELETE /app/verify-", "GET /:", "PATCH /list-users"):
        assert request in refuses.observed


def test_another_content_is_no_proof(store: FakeStore) -> None:
    store.forgetful = True
    keeps, refuses = prove(store, "app", APP)
    assert (keeps.status, keeps.observed) == ("failed", "what is read is not what was written")
    assert refuses.status == "skipped"


@pytest.mark.parametrize(("bucket", "fault"), [("none", "writing: HTTP 404 NoSuchBucket")])
def test_a_bucket_that_is_not_there_is_told(store: FakeStore, bucket: str, fault: str) -> None:
    assert prove(store, bucket, APP)[0].observed == fault
