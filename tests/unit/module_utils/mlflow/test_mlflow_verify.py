"""MLflow judged from outside: what holds, and each way in which it may not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible.module_utils.groundwork.check import Check
from ansible.module_utils.groundwork.mlflow.client import Answer, Login
from ansible.module_utils.groundwork.mlflow.verify import ANSWERS, DOORS, KEEPS, NAMES, REFUSES, VERSION, Wanted, verify

from tests.unit.module_utils.mlflow.fake_server import HOST, FakeServer

USER = Login("groundwork-verify", "a-long-password")
ALL = [ANSWERS, VERSION, NAMES, REFUSES, KEEPS]


@pytest.fixture
def server() -> FakeServer:
    made = FakeServer()
    made.users[USER.name] = (USER.password, False)
    return made


def judged(server: FakeServer, login: Login = USER, write: bool = True) -> dict[str, Check]:
    checks = verify(server, login, Wanted("3.17.2", [HOST], write))
    assert [check.name for check in checks] == ALL
    return {check.name: check for check in checks}


def statuses(checks: dict[str, Check]) -> list[str]:
    return [checks[name].status for name in ALL]


def test_a_good_server_is_judged_good_and_left_as_it_was(server: FakeServer) -> None:
    checks = judged(server)
    assert statuses(checks) == ["ok"] * 5
    assert (server.runs, server.artifacts, server.models) == ({}, {}, {})
    assert server.experiments == {"groundwork-verify": "active"}
    assert f"{len(DOORS)} requests without a login" in checks[REFUSES].observed


def test_the_next_proof_uses_the_same_experiment(server: FakeServer) -> None:
    server.experiments["groundwork-verify"] = "deleted"
    server.models["groundwork-verify"] = "of a proof that was killed"
    assert statuses(judged(server)) == ["ok"] * 5
    assert server.experiments == {"groundwork-verify": "active"}
    assert "POST /experiments/create" not in server.log[-20:]


def test_nothing_is_written_where_nothing_may_be(server: FakeServer) -> None:
    assert statuses(judged(server, write=False)) == ["ok"] * 4 + ["skipped"]
    assert server.experiments == {}


def test_a_server_that_does_not_answer_is_the_one_fault(server: FakeServer) -> None:
    server.down = True
    assert statuses(judged(server)) == ["failed"] + ["skipped"] * 4


def test_a_login_that_is_refused_is_told_as_such(server: FakeServer) -> None:
    checks = judged(server, Login(USER.name, "wrong"))
    assert statuses(checks) == ["failed"] + ["skipped"] * 4
    assert "401" in checks[ANSWERS].observed


def test_another_version_is_seen(server: FakeServer) -> None:
    server.version = "3.16.0"
    check = judged(server)[VERSION]
    assert (check.status, check.observed, check.wanted) == ("failed", "MLflow 3.16.0", "MLflow 3.17.2")


@pytest.mark.parametrize(
    ("hosts", "observed"),
    [({""}, f"{HOST}: HTTP 403"), ({"", HOST, "elsewhere.example"}, "elsewhere.example: HTTP 200")],
)
def test_names_are_those_and_no_others(server: FakeServer, hosts: set[str], observed: str) -> None:
    server.hosts = hosts
    check = judged(server)[NAMES]
    assert check.status == "failed"
    assert check.observed.startswith(observed)


def test_a_server_that_asks_nobody_is_refused(server: FakeServer) -> None:
    server.open = True
    check = judged(server)[REFUSES]
    assert check.status == "failed"
    assert "GET /version: HTTP 200" in check.observed


@pytest.mark.parametrize("login", [Login("admin", "password1234"), Login("admin", "admin")])
def test_logins_of_everybodys_are_refused(server: FakeServer, login: Login) -> None:
    server.users[login.name] = (login.password, True)
    check = judged(server)[REFUSES]
    assert (check.status, check.observed) == ("failed", f"{login.name}/{login.password}: HTTP 200")


def test_a_door_that_one_part_leaves_open_is_found(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = server.ask

    def leaky(method: str, path: str, login: Login | None, **more: object) -> Answer:
        return Answer(200) if (path, login) == ("/v1/traces", None) else ask(method, path, login, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(server, "ask", leaky)
    assert judged(server)[REFUSES].observed == "POST /v1/traces: HTTP 200"


def forget(server: FakeServer) -> None:
    server.forgetful = True


def round_off(server: FakeServer) -> None:
    server.inexact = True


def point_elsewhere(server: FakeServer) -> None:
    server.direct = True


def refuse(path: str) -> Callable[[FakeServer], None]:
    return lambda server: server.refuses.add(path)


@pytest.mark.parametrize(
    ("spoil", "observed"),
    [
        (forget, "the artifact that is read is not what was written: HTTP 200"),
        (round_off, "the metric that is read is not what was logged"),
        (point_elsewhere, "clients are told to get artifacts from the object store, past the server"),
        (refuse("experiments/get-by-name"), "the experiment groundwork-verify: HTTP 500 said INTERNAL_ERROR"),
        (refuse("runs/create"), "runs/create: HTTP 500 said INTERNAL_ERROR"),
        (refuse("runs/log-metric"), "runs/log-metric: HTTP 500 said INTERNAL_ERROR"),
        (refuse("model-versions/get"), "the model version: HTTP 500 said INTERNAL_ERROR"),
        (refuse("registered-models/delete"), "deleting the model: HTTP 500 said INTERNAL_ERROR"),
        (refuse("runs/delete"), "runs/delete: HTTP 500 said INTERNAL_ERROR"),
    ],
)
def test_what_is_not_kept_is_told_and_what_was_made_is_deleted(
    server: FakeServer, spoil: Callable[[FakeServer], None], observed: str
) -> None:
    spoil(server)
    checks = judged(server)
    assert statuses(checks) == ["ok"] * 4 + ["failed"]
    assert checks[KEEPS].observed == observed
    assert not server.runs or "runs/delete" in server.refuses
