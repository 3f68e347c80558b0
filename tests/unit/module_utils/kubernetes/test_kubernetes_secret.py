"""Secrets that are made once."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from ansible.module_utils.groundwork.kubernetes import secret
from ansible.module_utils.groundwork.kubernetes.cluster import KubernetesError, Object
from hypothesis import given
from hypothesis import strategies as st


class Secrets:
    """Secrets in memory, as an API server keeps them."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}

    def get(self, path: str, **_query: str) -> Object:
        if path not in self.objects:
            raise KubernetesError("none", "See the message.", 404)
        return self.objects[path]

    def create(self, path: str, body: Object) -> Object:
        assert "resourceVersion" not in body["metadata"]
        return self._keep(f"{path}/{body['metadata']['name']}", body, "1")

    def replace(self, path: str, body: Object) -> Object:
        assert body["metadata"]["resourceVersion"] == self.objects[path]["metadata"]["resourceVersion"]
        return self._keep(path, body, f"{body['metadata']['resourceVersion']}1")

    def _keep(self, path: str, body: Object, version: str) -> Object:
        self.objects[path] = {**body, "metadata": {**body["metadata"], "resourceVersion": version}}
        return self.objects[path]

    def keep(self, wanted: secret.Wanted) -> tuple[str, dict[str, str]]:
        found = secret.observe(self, wanted.path)
        planned = secret.plan(found, wanted)
        if planned.action:
            secret.apply(self, wanted, found, planned)
        return planned.reason, secret.texts(self.objects[wanted.path])


def wanted(**fields: Any) -> secret.Wanted:
    return secret.Wanted("ns", "s", **fields)


def test_a_secret_is_made_once() -> None:
    cluster = Secrets()
    reason, first = cluster.keep(wanted(given={"user": "app"}, made=["password"]))
    again, second = cluster.keep(wanted(given={"user": "app"}, made=["password"]))
    assert (reason, again, first["user"], len(first["password"])) == ("it is not there", "", "app", 40)
    assert first == second


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"given": {"user": "other"}, "made": ["password"]}, "not as wanted: user"),
        ({"given": {"password": "mine"}, "made": ["password"]}, "not as wanted: password"),
        ({"given": {}, "made": ["password", "token"]}, "not as wanted: token"),
        ({"given": {}, "made": [], "labels": {"a": "b"}}, "other labels"),
    ],
)
def test_what_differs_is_told_and_the_rest_stays(change: dict[str, Any], reason: str) -> None:
    cluster = Secrets()
    before = cluster.keep(wanted(given={"user": "app"}, made=["password"]))[1]
    cluster.objects["/api/v1/namespaces/ns/secrets/s"]["metadata"]["labels"]["theirs"] = "stays"
    told, after = cluster.keep(wanted(**change))
    assert told == reason
    assert after == before | change["given"] | {key: after[key] for key in change["made"] if key not in before}
    assert cluster.objects["/api/v1/namespaces/ns/secrets/s"]["metadata"]["labels"]["theirs"] == "stays"
    assert cluster.keep(wanted(**change))[0] == ""


def test_a_server_that_refuses_is_not_taken_for_an_empty_one() -> None:
    class Refusing(Secrets):
        def get(self, path: str, **_query: str) -> Object:
            raise KubernetesError(f"{path} is forbidden", "See the message.", 403)

    with pytest.raises(KubernetesError, match="forbidden"):
        Refusing().keep(wanted())


def test_bytes_are_no_text() -> None:
    assert secret.texts({"data": {"a": base64.b64encode(b"\xff").decode(), "b": "?"}}) == {}


KEYS = st.sampled_from(["username", "password", "token", "ca.crt"])
TEXTS = st.text(st.characters(codec="utf-8"), max_size=6)
WANTED = st.builds(
    lambda given, made: wanted(given=given, made=sorted(made)), st.dictionaries(KEYS, TEXTS, max_size=3), st.sets(KEYS)
)


@given(st.lists(WANTED, min_size=1, max_size=4))
def test_whatever_was_wanted_before_the_last_wish_holds_and_then_nothing_is_to_do(wishes: list[secret.Wanted]) -> None:
    cluster = Secrets()
    seen: dict[str, str] = {}
    for wish in wishes:
        texts = cluster.keep(wish)[1]
        assert wish.given.items() <= texts.items()
        assert all(texts[key] for key in wish.made if key not in wish.given)
        assert set(texts) == {*seen, *wish.given, *wish.made}
        # who is not named in a wish keeps what is theirs, and what was made once is not made again
        assert all(texts[key] == text for key, text in seen.items() if text and key not in wish.given)
        seen = texts
    assert secret.plan(secret.observe(cluster, wishes[-1].path), wishes[-1]).action == ""


@given(st.binary(max_size=12), TEXTS)
def test_texts_are_read_and_what_is_none_is_left_out(raw: bytes, text: str) -> None:
    data = {key: base64.b64encode(value).decode() for key, value in {"raw": raw, "text": text.encode()}.items()}
    known = secret.texts({"data": data})
    assert known["text"] == text
    assert ("raw" not in known) or known["raw"].encode() == raw
