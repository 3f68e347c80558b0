"""What holds of an object store's consumers, dumps and signatures, whatever there was before."""

from __future__ import annotations

import datetime
import tempfile
import urllib.parse
from pathlib import Path
from unittest import mock

from ansible.module_utils.groundwork.s3 import transfer
from ansible.module_utils.groundwork.s3.client import Key, _query, authorization
from ansible.module_utils.groundwork.s3.consumer import Wanted, apply, observe, plan
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.module_utils.fakes import waiter
from tests.unit.module_utils.s3.fake_store import ROOT, FakeStore
from tests.unit.module_utils.s3.test_s3_transfer import NOW, Dumps, bucket

NAMES = st.sampled_from(["app", "mlflow", "postgresql", "ray"])
SECRETS = st.sampled_from(["one", "two"])
TIMES = st.datetimes(datetime.datetime(2025, 1, 1), datetime.datetime(2026, 3, 20)).map(
    lambda at: f"{at:%Y%m%dT%H%M%SZ}"
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@given(st.dictionaries(NAMES, SECRETS), st.dictionaries(NAMES, NAMES), NAMES, SECRETS)
def test_a_consumer_is_made_whatever_there_is_and_others_keep_theirs(
    users: dict[str, str], owners: dict[str, str], name: str, secret: str
) -> None:
    store = FakeStore()
    store.users |= users
    store.owners |= owners
    wanted = Wanted(name, Key(name, secret), ROOT)
    apply(store, wanted, plan(observe(store, wanted), wanted), waiter())
    assert plan(observe(store, wanted), wanted) == []
    assert (store.users[name], store.owners[name]) == (secret, name)
    assert {each: store.users[each] for each in users if each != name} == {
        each: text for each, text in users.items() if each != name
    }
    assert {each: store.owners[each] for each in owners if each != name} == {
        each: owner for each, owner in owners.items() if each != name
    }


@given(st.lists(NAMES, min_size=2, max_size=4, unique=True), SECRETS)
def test_consumers_made_one_after_another_do_not_meet(names: list[str], secret: str) -> None:
    store = FakeStore()
    for _run in range(2):
        for name in names:
            wanted = Wanted(name, Key(name, secret), ROOT)
            apply(store, wanted, plan(observe(store, wanted), wanted), waiter())
    for name in names:
        for other in names:
            answer = store.ask("HEAD", f"/{other}", Key(name, secret))
            assert answer.good is (name == other)


@settings(deadline=None)
@given(st.binary(max_size=64), st.integers(1, 16))
def test_a_dump_comes_back_as_it_went_whatever_its_parts(content: bytes, part: int) -> None:
    store = Dumps()
    with tempfile.TemporaryDirectory() as name, mock.patch.object(transfer, "PART_BYTES", part):
        folder = Path(name)
        (folder / "db.dump").write_bytes(content)
        list(transfer.keep(bucket(store), folder, 14, NOW))
        list(transfer.fetch(bucket(store), "db", "newest", folder / "back"))
        assert (folder / "back").read_bytes() == content


@settings(deadline=None)
@given(st.sets(TIMES, max_size=12), st.integers(0, 400))
def test_what_is_young_stays_and_something_always_does(times: set[str], days: int) -> None:
    store = Dumps()
    store.objects = {f"db/{time}.dump": b"x" for time in times}
    oldest = f"{NOW - datetime.timedelta(days=days):{transfer.FORM}}"
    with tempfile.TemporaryDirectory() as name:
        Path(name, "db.dump").write_bytes(b"new")
        list(transfer.keep(bucket(store), Path(name), days, NOW))
    kept = {path.removeprefix("db/").removesuffix(".dump") for path in store.objects}
    now = f"{NOW:{transfer.FORM}}"
    assert kept == {time for time in times if time >= oldest} | {now}


@given(st.dictionaries(TEXTS, TEXTS, max_size=5))
def test_a_query_is_sorted_and_says_what_was_meant(query: dict[str, str]) -> None:
    text = _query(query)
    assert dict(urllib.parse.parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))) == query
    assert text.split("&") == sorted(text.split("&"), key=lambda pair: pair.partition("="))
    assert not set(text) & set(" +:,")


@given(st.lists(st.sampled_from(["Host", "Range", "x-vgw-owner", "content-md5"]), unique=True), TEXTS)
def test_all_headers_are_signed_in_whatever_order_they_come(names: list[str], secret: str) -> None:
    fixed = {"x-amz-date": "20260102T030405Z", "x-amz-content-sha256": "0" * 64}
    headers = {**fixed, **dict.fromkeys(names, "v")}
    backwards = dict(reversed(headers.items()))
    key = Key("a", secret)
    first = authorization(key, "r", "GET", "/", "", headers)
    assert first == authorization(key, "r", "GET", "/", "", backwards)
    assert f"SignedHeaders={';'.join(sorted(name.lower() for name in headers))}," in first
    assert first != authorization(key, "r", "GET", "/", "", {**headers, "more": "v"})
    assert first != authorization(Key("a", f"{secret}x"), "r", "GET", "/", "", headers)
