"""A password is made once, and stays."""

from __future__ import annotations

import base64
import copy
import json

import pytest
from ansible.module_utils.groundwork import bcrypt
from ansible.module_utils.groundwork.kubernetes import basic_auth
from ansible.module_utils.groundwork.kubernetes.basic_auth import Wanted, apply, observe, plan
from ansible.module_utils.groundwork.kubernetes.cluster import KubernetesError, Object

WANTED = Wanted("monitoring", "prometheus-web", "groundwork")


class Server:
    """Secrets as an API server keeps them: stringData becomes data, and who replaces says what was there."""

    def __init__(self) -> None:
        self.secrets: dict[str, Object] = {}
        self.version = 0

    def get(self, path: str, **_query: str) -> Object:
        if path not in self.secrets:
            raise KubernetesError("not found", "", 404)
        return copy.deepcopy(self.secrets[path])

    def create(self, path: str, body: Object) -> Object:
        return self._keep(f"{path}/{body['metadata']['name']}", body)

    def replace(self, path: str, body: Object) -> Object:
        if body["metadata"]["resourceVersion"] != self.secrets[path]["metadata"]["resourceVersion"]:
            raise KubernetesError("the object has been modified", "Run again.", 409)
        return self._keep(path, body)

    def _keep(self, path: str, body: Object) -> Object:
        self.version += 1
        data = {key: base64.b64encode(text.encode()).decode() for key, text in body["stringData"].items()}
        self.secrets[path] = {"metadata": {**body["metadata"], "resourceVersion": str(self.version)}, "data": data}
        return self.secrets[path]


@pytest.fixture
def server() -> Server:
    return Server()


def run(server: Server, wanted: Wanted = WANTED) -> tuple[str, str]:
    """What was done, and the password."""
    found = observe(server, wanted)
    planned = plan(found, wanted)
    return planned.action, apply(server, wanted, found, planned) if planned.action else planned.password


def texts(server: Server, wanted: Wanted = WANTED) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in server.secrets[wanted.path]["data"].items()}


def test_a_password_is_made_once(server: Server) -> None:
    action, password = run(server)
    assert (action, len(password)) == ("create", 32)
    assert texts(server)["password"] == password
    users = json.loads(texts(server)["web.yml"])["basic_auth_users"]
    assert list(users) == ["groundwork"]
    assert bcrypt.matches(password, users["groundwork"])
    assert password not in texts(server)["web.yml"]
    assert run(server) == ("", password)


def test_no_two_are_the_same(server: Server) -> None:
    other = Wanted("monitoring", "node-exporter-web", "prometheus")
    assert run(server)[1] != run(server, other)[1]


def test_a_password_that_is_given_takes_its_place_once(server: Server) -> None:
    run(server)
    given = Wanted("monitoring", "prometheus-web", "groundwork", "out of Vault")
    assert run(server, given) == ("replace", "out of Vault")
    assert run(server, given) == ("", "out of Vault")
    assert run(server) == ("", "out of Vault"), "and stays when it is no longer given"


@pytest.mark.parametrize("web", ["", "{}", "no JSON", '{"basic_auth_users": {"groundwork": "$2b$10$other"}}'])
def test_a_hash_that_is_not_the_passwords_is_mended_and_the_password_stays(server: Server, web: str) -> None:
    _, password = run(server)
    server.secrets[WANTED.path]["data"]["web.yml"] = base64.b64encode(web.encode()).decode()
    assert run(server) == ("replace", password)
    assert run(server) == ("", password)


@pytest.mark.parametrize("data", [None, {}, {"password": ""}, {"password": "not base64!"}])
def test_a_secret_without_a_password_gets_one(server: Server, data: dict[str, str] | None) -> None:
    run(server)
    server.secrets[WANTED.path]["data"] = data
    action, password = run(server)
    assert (action, len(password)) == ("replace", 32)


def test_another_users_name_keeps_the_password(server: Server) -> None:
    _, password = run(server)
    other = Wanted("monitoring", "prometheus-web", "ada")
    assert run(server, other) == ("replace", password)
    assert list(json.loads(texts(server)["web.yml"])["basic_auth_users"]) == ["ada"]


def test_who_was_slower_is_told(server: Server) -> None:
    run(server)
    found = observe(server, WANTED)
    other = Wanted("monitoring", "prometheus-web", "ada")
    run(server, other)
    with pytest.raises(KubernetesError, match="modified"):
        apply(server, WANTED, found, plan(found, Wanted("monitoring", "prometheus-web", "bob")))


def test_a_server_that_refuses_is_not_taken_for_one_without_the_secret(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: str) -> Object:
        raise KubernetesError("forbidden", "", 403)

    monkeypatch.setattr(server, "get", refuse)
    with pytest.raises(KubernetesError, match="forbidden"):
        observe(server, WANTED)


def test_the_plan_and_the_wanted_do_not_show_a_password() -> None:
    shown = repr(Wanted("a", "b", "c", "hidden")) + repr(basic_auth.Plan("create", "hidden"))
    assert "hidden" not in shown
