"""A password is made once, and stays."""

from __future__ import annotations

import base64
import json

import pytest
from ansible.module_utils.groundwork import bcrypt
from ansible.module_utils.groundwork.kubernetes import basic_auth
from ansible.module_utils.groundwork.kubernetes.basic_auth import Wanted, apply, observe, plan
from ansible.module_utils.groundwork.kubernetes.cluster import KubernetesError, Object

from tests.unit.module_utils.kubernetes.secrets_server import Server

WANTED = Wanted("monitoring", "prometheus-web", "groundwork")


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


def test_a_certificates_folder_is_said_beside_the_users(server: Server) -> None:
    _, password = run(server)
    encrypted = Wanted("monitoring", "prometheus-web", "groundwork", certificate="/etc/tls")
    assert run(server, encrypted) == ("replace", password)
    said = json.loads(texts(server)["web.yml"])
    assert said["tls_server_config"] == {"cert_file": "/etc/tls/tls.crt", "key_file": "/etc/tls/tls.key"}
    assert bcrypt.matches(password, said["basic_auth_users"]["groundwork"])
    assert run(server, encrypted) == ("", password)
    assert run(server) == ("replace", password), "and goes where it is no longer wanted"


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
