"""A user of MLflow's who administers nothing: what the server's basic-auth app knows of it, and what it should know.

https://mlflow.org/docs/latest/self-hosting/security/basic-http-auth has the requests. The server tells nobody a
password: whether one fits is found by logging in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.mlflow.client import API, LOG, Answer, Login, Server

UNAUTHORIZED, NOT_FOUND = 401, 404
Kind = Literal["create", "set_password", "take_administration"]


@dataclass(frozen=True)
class State:
    """What the server knows of a user: whether it is there, lets it in by its password, and has it administer."""

    exists: bool
    fits: bool = False
    administers: bool = False


@dataclass(frozen=True)
class Action:
    """One step, and why."""

    kind: Kind
    reason: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}"


def observe(server: Server, administrator: Login, user: Login) -> State:
    """What the server knows. Raises GroundworkError where it refuses its administrator."""
    found = server.ask("GET", f"{API}/users/get", administrator, query={"username": user.name})
    if found.status == NOT_FOUND:
        return State(exists=False)
    known = _good(found, f"look for the user {user.name}").content["user"]
    entered = server.ask("GET", f"{API}/users/current", user)
    if not entered.good and entered.status != UNAUTHORIZED:
        raise _refused(entered, f"log in as {user.name}")
    return State(exists=True, fits=entered.good, administers=bool(known["is_admin"]))


def plan(state: State, user: Login) -> list[Action]:
    """What makes the user as it is wanted, in order. Nobody is ever deleted."""
    if not state.exists:
        return [Action("create", f"there is no user {user.name}")]
    actions = []
    if state.administers:
        actions.append(Action("take_administration", f"{user.name} may administer"))
    if not state.fits:
        actions.append(Action("set_password", f"{user.name} has another password"))
    return actions


def apply(server: Server, administrator: Login, user: Login, actions: list[Action]) -> None:
    """Do what is planned. Raises GroundworkError where the server refuses."""
    login = {"username": user.name, "password": user.password}
    for action in actions:
        if action.kind == "create":
            done = server.ask("POST", f"{API}/users/create", administrator, content=login)
        elif action.kind == "set_password":
            done = server.ask("PATCH", f"{API}/users/update-password", administrator, content=login)
        else:
            content = {"username": user.name, "is_admin": False}
            done = server.ask("PATCH", f"{API}/users/update-admin", administrator, content=content)
        _good(done, action.reason)


def _good(answer: Answer, doing: str) -> Answer:
    if not answer.good:
        raise _refused(answer, doing)
    return answer


def _refused(answer: Answer, doing: str) -> GroundworkError:
    remedy = f"See {LOG}."
    if answer.status == UNAUTHORIZED:
        remedy = "Its administrator's password is not the one in the Secret mlflow-admin: see docs/mlflow.md."
    return GroundworkError(f"MLflow refused ({doing}): {answer}", remedy)
