"""A user of MLflow's: made, corrected, and never more than a user."""

from __future__ import annotations

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.mlflow.client import Login
from ansible.module_utils.groundwork.mlflow.user import Action, State, apply, observe, plan

from tests.unit.module_utils.mlflow.fake_server import ADMIN, FakeServer

USER = Login("workloads-ray", "a-long-password")


def kinds(actions: list[Action]) -> list[str]:
    return [action.kind for action in actions]


@pytest.mark.parametrize(
    ("known", "state", "wanted"),
    [
        (None, State(exists=False), ["create"]),
        ((USER.password, False), State(exists=True, fits=True), []),
        (("another-password", False), State(exists=True), ["set_password"]),
        ((USER.password, True), State(exists=True, fits=True, administers=True), ["take_administration"]),
        (("another-password", True), State(exists=True, administers=True), ["take_administration", "set_password"]),
    ],
)
def test_a_user_becomes_as_it_is_wanted(known: tuple[str, bool] | None, state: State, wanted: list[str]) -> None:
    server = FakeServer()
    if known:
        server.users[USER.name] = known
    assert observe(server, ADMIN, USER) == state
    actions = plan(state, USER)
    assert kinds(actions) == wanted
    apply(server, ADMIN, USER, actions)
    assert server.users[USER.name] == (USER.password, False)
    assert plan(observe(server, ADMIN, USER), USER) == []


def test_a_wrong_administrator_is_told_where_the_password_is() -> None:
    with pytest.raises(GroundworkError, match=r"look for the user workloads-ray\): HTTP 401") as caught:
        observe(FakeServer(), Login("admin", "wrong"), USER)
    assert "mlflow-admin" in caught.value.remedy


@pytest.mark.parametrize("path", ["users/get", "users/current"])
def test_a_server_in_trouble_is_no_wrong_password(path: str) -> None:
    server = FakeServer()
    server.users[USER.name] = (USER.password, False)
    server.refuses = {path}
    with pytest.raises(GroundworkError, match="HTTP 500 said INTERNAL_ERROR"):
        observe(server, ADMIN, USER)


def test_what_is_refused_is_told() -> None:
    server = FakeServer()
    server.refuses = {"users/create"}
    with pytest.raises(GroundworkError, match=r"MLflow refused \(there is no user workloads-ray\)"):
        apply(server, ADMIN, USER, plan(State(exists=False), USER))


def test_passwords_are_in_nobodys_sight() -> None:
    shown = f"{USER!r} {plan(State(exists=False), USER)} {ADMIN}"
    assert USER.password not in shown
    assert ADMIN.password not in shown
