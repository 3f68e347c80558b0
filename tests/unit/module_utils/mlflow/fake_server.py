"""An MLflow server in memory, with the basic-auth app's requests, as MLflow 3.17 answers them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.mlflow.client import API, Answer, Login

ADMIN = Login("admin", "admin-password")
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
HOST = "mlflow.svc"


def error(status: int, code: str) -> Answer:
    return Answer(status, json.dumps({"error_code": code, "message": f"said {code}"}).encode())


def good(**content: Any) -> Answer:
    return Answer(200, json.dumps(content).encode())


class FakeServer:
    """Users with their passwords and rights; experiments by name; runs, artifacts and models.

    down       does not answer
    open       asks nobody for a login
    forgetful  keeps no artifact as it was, `inexact` no metric
    direct     tells clients to get artifacts from the object store
    refuses    paths that it answers with 500
    """

    def __init__(self) -> None:
        self.users: dict[str, tuple[str, bool]] = {ADMIN.name: (ADMIN.password, True)}
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.artifacts: dict[str, bytes] = {}
        self.models: dict[str, str] = {}
        self.hosts = {"", HOST}
        self.version = "3.17.2"
        self.down = self.open = self.forgetful = self.inexact = self.direct = False
        self.refuses: set[str] = set()
        self.log: list[str] = []

    def ask(
        self,
        method: str,
        path: str,
        login: Login | None,
        *,
        query: Mapping[str, str] | None = None,
        content: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        host: str = "",
    ) -> Answer:
        self.log.append(f"{method} {path.removeprefix(API)}")
        if self.down:
            raise GroundworkError("MLflow does not answer: refused", "Start it.")
        if path.removeprefix(f"{API}/") in self.refuses:
            return error(500, "INTERNAL_ERROR")
        if host not in self.hosts:
            return Answer(403, b"Invalid Host header - possible DNS rebinding attack detected")
        if path == "/api/3.0/mlflow/server-info":  # which is everybody's
            return good(multipart_uploads_enabled=self.direct, multipart_downloads_enabled=self.direct)
        known = login and self.users.get(login.name, ("", False))[0] == login.password
        if not known and not self.open:
            return Answer(401, b"You are not authenticated.")
        if path == "/version":
            return Answer(200, self.version.encode())
        if path.startswith(ARTIFACTS):
            return self._artifact(method, path, body)
        given = {**(query or {}), **(content or {})}
        verb = path.removeprefix(f"{API}/").replace("/", "_").replace("-", "_")
        try:
            answer: Answer = getattr(self, f"_{verb}", lambda *_: Answer(404))(given, login)
        except KeyError:
            return error(400, "INVALID_PARAMETER_VALUE")
        return answer

    def _users_get(self, given: dict[str, Any], _login: Login) -> Answer:
        if given["username"] not in self.users:
            return error(404, "RESOURCE_DOES_NOT_EXIST")
        return good(user={"username": given["username"], "is_admin": self.users[given["username"]][1]})

    def _users_current(self, _given: dict[str, Any], login: Login | None) -> Answer:
        return good(user={"username": login.name if login else ""})

    def _users_create(self, given: dict[str, Any], _login: Login) -> Answer:
        self.users[given["username"]] = (given["password"], False)
        return good()

    def _users_update_password(self, given: dict[str, Any], _login: Login) -> Answer:
        self.users[given["username"]] = (given["password"], self.users[given["username"]][1])
        return good()

    def _users_update_admin(self, given: dict[str, Any], _login: Login) -> Answer:
        self.users[given["username"]] = (self.users[given["username"]][0], given["is_admin"])
        return good()

    def _experiments_get_by_name(self, given: dict[str, Any], _login: Login) -> Answer:
        name = given["experiment_name"]
        if name not in self.experiments:
            return error(404, "RESOURCE_DOES_NOT_EXIST")
        return good(experiment={"experiment_id": "7", "lifecycle_stage": self.experiments[name]})

    def _experiments_create(self, given: dict[str, Any], _login: Login) -> Answer:
        self.experiments[given["name"]] = "active"
        return good(experiment_id="7")

    def _experiments_restore(self, _given: dict[str, Any], _login: Login) -> Answer:
        self.experiments = dict.fromkeys(self.experiments, "active")
        return good()

    def _runs_create(self, given: dict[str, Any], _login: Login) -> Answer:
        run = f"run-{len(self.runs)}"
        info = {"run_id": run, "artifact_uri": f"mlflow-artifacts:/{given['experiment_id']}/{run}/artifacts"}
        self.runs[run] = {"info": info, "data": {"metrics": []}}
        return good(run=self.runs[run])

    def _runs_log_metric(self, given: dict[str, Any], _login: Login) -> Answer:
        value = given["value"] + (1 if self.inexact else 0)
        self.runs[given["run_id"]]["data"]["metrics"].append({"key": given["key"], "value": value})
        return good()

    def _runs_get(self, given: dict[str, Any], _login: Login) -> Answer:
        return good(run=self.runs[given["run_id"]])

    def _runs_delete(self, given: dict[str, Any], _login: Login) -> Answer:
        del self.runs[given["run_id"]]
        return good()

    def _artifact(self, method: str, path: str, body: bytes | None) -> Answer:
        if method == "PUT":
            self.artifacts[path] = b"something else" if self.forgetful else body or b""
        elif method == "DELETE":
            del self.artifacts[path]
        elif path in self.artifacts:
            return Answer(200, self.artifacts[path])
        return good()

    def _registered_models_create(self, given: dict[str, Any], _login: Login) -> Answer:
        if given["name"] in self.models:
            return error(400, "RESOURCE_ALREADY_EXISTS")
        self.models[given["name"]] = ""
        return good()

    def _registered_models_delete(self, given: dict[str, Any], _login: Login) -> Answer:
        return error(404, "RESOURCE_DOES_NOT_EXIST") if self.models.pop(given["name"], None) is None else good()

    def _model_versions_create(self, given: dict[str, Any], _login: Login) -> Answer:
        self.models[given["name"]] = given["run_id"]
        return good(model_version={"version": "1"})

    def _model_versions_get(self, given: dict[str, Any], _login: Login) -> Answer:
        return good(model_version={"run_id": self.models[given["name"]]})
