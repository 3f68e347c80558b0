"""The modules of the object store, as Ansible runs them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.groundwork.kubernetes.cluster import KubernetesError

from tests.unit.library.conftest import Module
from tests.unit.module_utils.kubernetes.secrets_server import Server
from tests.unit.module_utils.s3.fake_store import ROOT, FakeStore

Load = Callable[[str], Module]
SECRET: dict[str, Any] = {"namespace": "default", "name": "object-store-app"}
APP: dict[str, Any] = {"endpoint": "https://s3", "access_key": "app", "secret_key": "app-secret"}
ADMINISTRATOR: dict[str, Any] = {"administrator_access_key": ROOT.access, "administrator_secret_key": ROOT.secret}


class Empty:
    """A cluster with nothing in it; it remembers what is made."""

    def __init__(self, *_arguments: object) -> None:
        self.made: list[dict[str, Any]] = []

    def get(self, _path: str, **_query: str) -> dict[str, Any]:
        raise KubernetesError("not found", "See the message.", 404)

    def create(self, _path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.made.append(body)
        return body


@pytest.fixture
def cluster() -> Empty:
    return Empty()


@pytest.fixture
def store() -> FakeStore:
    made = FakeStore()
    made.users["app"], made.owners["app"] = "app-secret", "app"
    return made


def test_a_text_that_is_not_given_is_made(load: Load, cluster: Empty, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("kubernetes_secret")
    monkeypatch.setattr(module.code, "Client", lambda *_: cluster)
    found = module.run(**SECRET, given={"user": "app", "secret": ""}, made=["secret"])
    kept = {key: base64.b64decode(value).decode() for key, value in cluster.made[0]["data"].items()}
    assert (found["changed"], found["actions"], found["texts"]) == (True, ["create: it is not there"], kept)
    assert len(kept["secret"]) == 40


def test_check_mode_makes_no_secret(load: Load, cluster: Empty, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("kubernetes_secret")
    monkeypatch.setattr(module.code, "Client", lambda *_: cluster)
    found = module.run(check=True, **SECRET, given={"user": "app"}, made=["secret"])
    assert (found["changed"], found["texts"], cluster.made) == (True, {"user": "app", "secret": ""}, [])


def test_a_certificate_is_made_once_but_not_in_check_mode(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module, server = load("kubernetes_certificate"), Server()
    monkeypatch.setattr(module.code, "Client", lambda *_: server)
    wanted: dict[str, Any] = {"namespace": "ns", "name": "tls", "names": ["n1"], "labels": {"reload": "true"}}
    planned = module.run(check=True, **wanted)
    assert (planned["changed"], len(planned["actions"]), planned["digest"], server.secrets) == (True, 2, "", {})
    made, again = module.run(**wanted), module.run(**wanted)
    assert made["authority"].startswith("-----BEGIN CERTIFICATE")
    assert (again["changed"], again["digest"], len(again["digest"])) == (False, made["digest"], 16)
    assert server.secrets["/api/v1/namespaces/ns/secrets/tls"]["metadata"]["labels"]["reload"] == "true"


def test_a_consumer_is_made_and_nothing_in_check_mode(
    load: Load, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.users.pop("app")
    module = load("s3_consumer")
    monkeypatch.setattr(module.code, "Client", lambda *_: store)
    planned = module.run(check=True, **APP, **ADMINISTRATOR, bucket="app")
    assert (planned["changed"], planned["actions"], "app" in store.users) == (
        True,
        ["create_user: there is no key app"],
        False,
    )
    assert module.run(**APP, **ADMINISTRATOR, bucket="app")["changed"] is True
    assert module.run(**APP, **ADMINISTRATOR, bucket="app")["changed"] is False
    assert module.run(**APP, bucket="app")["changed"] is False


@pytest.mark.parametrize(
    ("check", "bucket", "names"),
    [
        (False, "", ["object_store.answers", "object_store.key_is_right"]),
        (True, "app", ["object_store.answers", "object_store.key_is_right"]),
        (False, "app", ["object_store.keeps_objects", "object_store.refuses_strangers"]),
    ],
)
def test_a_bucket_is_written_to_but_not_in_check_mode(
    load: Load, store: FakeStore, monkeypatch: pytest.MonkeyPatch, check: bool, bucket: str, names: list[str]
) -> None:
    module = load("s3_verify")
    monkeypatch.setattr(module.code, "Client", lambda *_: store)
    found = module.run(check=check, **APP, bucket=bucket)
    assert [(each["name"], each["status"]) for each in found["checks"]] == [(name, "ok") for name in names]
    assert any(line.startswith("PUT") for line in store.log) is (bool(bucket) and not check)


@pytest.mark.parametrize(("check", "kept"), [(True, None), (False, True)])
def test_a_file_system_is_asked_but_not_in_check_mode(
    load: Load, monkeypatch: pytest.MonkeyPatch, check: bool, kept: bool | None
) -> None:
    module = load("kubernetes_storage_info")
    monkeypatch.setattr(module.code, "Client", Empty)
    monkeypatch.setattr(module.code, "keeps_attributes", lambda *_: True)
    assert module.run(check=check, storage_class="shared", node="n1")["extended_attributes"] is kept
