"""MLflow, judged from outside: by somebody with a login, and by somebody without one."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.groundwork.check import Check, failed, judge, ok, skipped
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.mlflow.client import API, LOG, Answer, Login, Server

ANSWERS, VERSION, NAMES = "mlflow.answers", "mlflow.version_is_wanted", "mlflow.knows_its_names"
KEEPS, REFUSES = "mlflow.keeps_runs", "mlflow.refuses_strangers"
NAME = "groundwork-verify"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
SERVER_INFO = "/api/3.0/mlflow/server-info"
WORD_BYTES = 1 << 16
REFUSALS = (401, 403)
UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 401, 403, 404
STRANGE_HOST = "elsewhere.example"
DOORS: Sequence[tuple[str, str]] = (
    ("GET", "/"),
    ("GET", "/version"),
    ("GET", "/metrics"),
    ("GET", "/signup"),
    ("GET", "/openapi.json"),
    ("POST", "/graphql"),
    ("POST", "/v1/traces"),
    ("POST", "/gateway/any/invocations"),
    ("GET", "/ajax-api/3.0/jobs"),
    ("GET", "/ajax-api/3.0/mlflow/assistant/config"),
    ("GET", "/api/3.0/mcp-servers"),
    ("GET", f"{API}/experiments/search"),
    ("POST", f"{API}/experiments/create"),
    ("POST", f"{API}/runs/search"),
    ("GET", f"{API}/registered-models/search"),
    ("GET", f"{API}/users/list"),
    ("POST", f"{API}/users/create"),
    ("GET", ARTIFACTS),
    ("PUT", f"{ARTIFACTS}/0/stranger"),
)
"""Each part that the server has: those of Flask, of FastAPI beside it, and of the basic-auth app."""
DEFAULTS = (Login("admin", "password1234"), Login("admin", "password"), Login("admin", "admin"))
"""The login that MLflow had of itself until 3.x, and what people try first."""


@dataclass(frozen=True)
class Wanted:
    """The version that should answer, and the names by which clients call the server, with ports where they say them.

    write  whether a run may be logged; what is written is deleted
    """

    version: str
    hosts: Sequence[str]
    write: bool = True


def verify(server: Server, login: Login, wanted: Wanted) -> list[Check]:
    """All verdicts; those that rest on an answer are skipped where there is none."""
    try:
        told = server.ask("GET", "/version", login)
        if told.good:
            return _judged(server, login, wanted, told.body.decode(errors="replace").strip())
        answers = failed(ANSWERS, str(told), "MLflow answers who has a login", f"Run site.yml; see {LOG}.")
    except GroundworkError as error:
        answers = failed(ANSWERS, error.message, "MLflow answers", error.remedy)
    return [answers, *(skipped(name, "MLflow does not answer") for name in (VERSION, NAMES, REFUSES, KEEPS))]


def _judged(server: Server, login: Login, wanted: Wanted, version: str) -> list[Check]:
    return [
        ok(ANSWERS, f"MLflow {version}"),
        judge(VERSION, version == wanted.version, f"MLflow {version}", f"MLflow {wanted.version}", "Run site.yml."),
        _names(server, login, wanted.hosts),
        _refuses(server),
        prove(server, login) if wanted.write else skipped(KEEPS, "not proved in this run"),
    ]


def prove(server: Server, login: Login) -> Check:
    """Whether a run, its metric, its artifact and a model are kept, and go when they are deleted."""
    wanted = "what is logged is read back and the same"
    try:
        _Proof(server, login).run()
    except _BrokenError as error:
        return failed(KEEPS, str(error), wanted, f"See {LOG}.")
    logged = f"a run was logged with a metric and an artifact of {WORD_BYTES >> 10} KiB, read and compared"
    return ok(KEEPS, f"{logged}; a model version was registered and deleted", wanted)


class _BrokenError(Exception):
    """What was not done, or not as it should have been."""


@dataclass(frozen=True)
class _Proof:
    """One run's life, in an experiment that the user of proofs keeps: names of deleted ones cannot be had again."""

    server: Server
    login: Login

    def run(self) -> None:
        """Log, read, compare and delete."""
        self._proxied()
        experiment = self._experiment()
        run = self._post("runs/create", {"experiment_id": experiment, "run_name": NAME, "start_time": 0})["run"]["info"]
        try:
            self._metric(run["run_id"])
            self._artifact(run["artifact_uri"].removeprefix("mlflow-artifacts:/").lstrip("/"))
            self._model(run["run_id"], run["artifact_uri"])
        finally:
            self._post("runs/delete", {"run_id": run["run_id"]})

    def _proxied(self) -> None:
        """MLflow's own clients do as they are told here: go to the object store, which they do not reach, or not."""
        told = self._good(self.server.ask("GET", SERVER_INFO, self.login), "server-info")
        if told.get("multipart_downloads_enabled") or told.get("multipart_uploads_enabled"):
            raise _BrokenError("clients are told to get artifacts from the object store, past the server")

    def _experiment(self) -> str:
        """The experiment's number; it is made where it is missing, and taken back where somebody deleted it."""
        found = self.server.ask("GET", f"{API}/experiments/get-by-name", self.login, query={"experiment_name": NAME})
        if found.status == NOT_FOUND:
            return str(self._post("experiments/create", {"name": NAME})["experiment_id"])
        experiment = self._good(found, f"the experiment {NAME}")["experiment"]
        if experiment["lifecycle_stage"] != "active":
            self._post("experiments/restore", {"experiment_id": experiment["experiment_id"]})
        return str(experiment["experiment_id"])

    def _metric(self, run: str) -> None:
        value = secrets.randbelow(1 << 20) / (1 << 10)
        self._post("runs/log-metric", {"run_id": run, "key": "word", "value": value, "timestamp": 0, "step": 0})
        found = self._good(self.server.ask("GET", f"{API}/runs/get", self.login, query={"run_id": run}), "the run")
        if [(each["key"], each["value"]) for each in found["run"]["data"]["metrics"]] != [("word", value)]:
            raise _BrokenError("the metric that is read is not what was logged")

    def _artifact(self, folder: str) -> None:
        path = f"{ARTIFACTS}/{folder}/word"
        word = secrets.token_bytes(WORD_BYTES)
        self._good(self.server.ask("PUT", path, self.login, body=word), "writing the artifact")
        found = self.server.ask("GET", path, self.login)
        if not found.good or found.body != word:
            raise _BrokenError(f"the artifact that is read is not what was written: HTTP {found.status}")
        self._good(self.server.ask("DELETE", path, self.login), "deleting the artifact")

    def _model(self, run: str, source: str) -> None:
        name = {"name": NAME}
        # what a proof left that was killed
        self.server.ask("DELETE", f"{API}/registered-models/delete", self.login, content=name)
        self._post("registered-models/create", name)
        try:
            made = self._post("model-versions/create", {**name, "source": source, "run_id": run})["model_version"]
            query = {**name, "version": str(made["version"])}
            found = self.server.ask("GET", f"{API}/model-versions/get", self.login, query=query)
            if self._good(found, "the model version")["model_version"]["run_id"] != run:
                raise _BrokenError("the model version is another run's")
        finally:
            deleted = self.server.ask("DELETE", f"{API}/registered-models/delete", self.login, content=name)
        self._good(deleted, "deleting the model")

    def _post(self, path: str, content: dict[str, Any]) -> Any:
        return self._good(self.server.ask("POST", f"{API}/{path}", self.login, content=content), path)

    @staticmethod
    def _good(answer: Answer, doing: str) -> Any:
        if not answer.good:
            raise _BrokenError(f"{doing}: {answer}")
        return answer.content


def _names(server: Server, login: Login, hosts: Sequence[str]) -> Check:
    """Whether the server lets itself be called as its clients do, and by no other name."""
    asked = [(host, server.ask("GET", f"{API}/users/current", login, host=host)) for host in hosts]
    faults = [f"{host}: {answer}" for host, answer in asked if not answer.good]
    strange = server.ask("GET", f"{API}/users/current", login, host=STRANGE_HOST)
    if strange.status != FORBIDDEN:
        faults.append(f"{STRANGE_HOST}: HTTP {strange.status}")
    return judge(
        NAMES,
        not faults,
        "; ".join(faults) or f"answers as {', '.join(hosts)}, and not as {STRANGE_HOST}",
        "answers by its own names and by no others",
        "Run site.yml; names of a load balancer belong into site_outside_names.",
    )


def _refuses(server: Server) -> Check:
    doors = [(f"{method} {path}", server.ask(method, path, None, body=None if method == "GET" else b"{}"))
             for method, path in DOORS]  # fmt: skip
    logins = [
        (f"{login.name}/{login.password}", server.ask("GET", f"{API}/users/current", login)) for login in DEFAULTS
    ]
    opened = [f"{door}: HTTP {answer.status}" for door, answer in [*doors, *logins] if answer.status not in REFUSALS]
    return judge(
        REFUSES,
        not opened,
        "; ".join(opened)
        or f"{len(doors)} requests without a login and {len(logins)} logins of everybody's are refused",
        "every request without a login is refused, but for /health",
        f"Take what answers from outside (mlflow_enabled: false) until it asks for a login; see {LOG}.",
    )
