"""The modules of MLflow, as Ansible runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.library.conftest import Module
from tests.unit.module_utils.mlflow.fake_server import ADMIN, HOST, FakeServer

Load = Callable[[str], Module]
WHERE: dict[str, Any] = {"endpoint": "https://192.0.2.11:30500", "authority": "PEM"}
USER: dict[str, Any] = {**WHERE, "administrator": ADMIN.name, "administrator_password": ADMIN.password,
                        "username": "workloads-ray", "password": "a-long-password"}  # fmt: skip
PROOF: dict[str, Any] = {
    **WHERE,
    "username": ADMIN.name,
    "password": ADMIN.password,
    "version": "3.17.2",
    "hosts": [HOST],
}


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def prepared(load: Load, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Load:
    """A module whose server is the one in memory."""

    def prepare(name: str) -> Module:
        module = load(name)
        monkeypatch.setattr(module.code, "Client", lambda *_: server)
        return module

    return prepare


def test_a_user_is_made_once(prepared: Load, server: FakeServer) -> None:
    module = prepared("mlflow_user")
    first, second = module.run(**USER), module.run(**USER)
    assert (first["changed"], first["actions"]) == (True, ["create: there is no user workloads-ray"])
    assert (second["changed"], second["actions"]) == (False, [])
    assert server.users["workloads-ray"] == ("a-long-password", False)


def test_check_mode_says_what_would_be_made(prepared: Load, server: FakeServer) -> None:
    found = prepared("mlflow_user").run(check=True, **USER)
    assert (found["changed"], list(server.users)) == (True, ["admin"])


def test_a_server_that_refuses_its_administrator_fails_with_a_remedy(prepared: Load) -> None:
    found = prepared("mlflow_user").run(**{**USER, "administrator_password": "wrong"})
    assert (found["failed"], found["changed"]) == (True, False)
    assert "mlflow-admin" in found["remedy"]


def test_verdicts_are_no_change(prepared: Load) -> None:
    found = prepared("mlflow_verify").run(**PROOF)
    assert [check["status"] for check in found["checks"]] == ["ok"] * 5
    assert (found["changed"], found["version"]) == (False, "3.17.2")


def test_check_mode_logs_no_run(prepared: Load, server: FakeServer) -> None:
    found = prepared("mlflow_verify").run(check=True, **PROOF)
    assert [check["status"] for check in found["checks"]] == ["ok"] * 4 + ["skipped"]
    assert server.experiments == {}


def test_a_server_that_is_away_has_no_version(prepared: Load, server: FakeServer) -> None:
    server.down = True
    found = prepared("mlflow_verify").run(**PROOF)
    assert (found["checks"][0]["status"], found["version"]) == ("failed", "")
