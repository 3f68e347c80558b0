"""Ray judged from outside: by somebody with the token, and by somebody without it."""

from __future__ import annotations

import inspect
import json
import secrets
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.groundwork.check import Check, failed, judge, ok, skipped
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.ray import job_program
from ansible.module_utils.groundwork.ray.client import BAD_GATEWAY, REMEDY, Answer, Dashboard
from ansible.module_utils.groundwork.waiting import Waiter

ANSWERS, REFUSES, PROVED = "ray.answers", "ray.refuses_strangers", "ray.job_gets_its_gpus"
JOBS = "/api/jobs/"
REFUSALS = (401, 403)
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
WORKS = {"entrypoint": "true"}
QUESTIONS: tuple[tuple[str, str, Mapping[str, Any] | None], ...] = (
    ("POST", JOBS, WORKS),
    ("GET", JOBS, None),
    ("GET", "/nodes?view=summary", None),
    ("GET", "/api/cluster_status", None),
    ("GET", "/api/v0/actors", None),
)
"""What somebody without the token tries: to run something, and to learn something."""


@dataclass(frozen=True)
class Wanted:
    """What a worker is to have: so many GPUs. `room` tells whether a worker could have them now."""

    gpus: int
    room: Callable[[], bool]


def look(dashboard: Dashboard, token: str, waiter: Waiter) -> list[Check]:
    """Whether it answers who has the token, and nobody else. The head may just have been started."""
    try:
        version, answered = waiter.until(lambda: _patiently(dashboard, token), lambda answer: answer.good)
        let_in = _let_in(dashboard) if answered else []
    except GroundworkError as error:
        return [failed(ANSWERS, error.message, "Ray answers", error.remedy), skipped(REFUSES, "Ray does not answer")]
    said = f"Ray {version.fields.get('ray_version', '')}" if answered else f"HTTP {version.status} {version.text[:200]}"
    return [
        judge(ANSWERS, answered, said, "Ray answers who has the token", REMEDY),
        judge(
            REFUSES,
            not let_in,
            "; ".join(let_in) or "nothing is told or run without the token",
            "every request without the token is refused",
            "See that the RayCluster has authOptions with mode token, and start its head anew.",
        ) if answered else skipped(REFUSES, "Ray does not answer"),
    ]  # fmt: skip


def prove(dashboard: Dashboard, token: str, wanted: Wanted, waiter: Waiter) -> list[Check]:
    """Whether a job of somebody with the token runs on a worker with its GPUs, while the head has none."""
    if not wanted.room():
        return [skipped(PROVED, "every GPU is in use, so not proved")]
    try:
        job, ended = _run(dashboard, token, wanted.gpus, waiter)
    except GroundworkError as error:
        return [failed(PROVED, error.message, "a job runs on a worker", error.remedy)]
    if not ended and job.get("status") == "PENDING" and not wanted.room():
        return [skipped(PROVED, "other jobs have every GPU, so not proved")]
    return [_judge(job, ended, wanted.gpus)]


def _patiently(dashboard: Dashboard, token: str) -> Answer:
    """The version, or what it takes for a failure of the moment."""
    try:
        return dashboard.ask("GET", "/api/version", token)
    except GroundworkError as error:
        return Answer(BAD_GATEWAY, error.message)


def _let_in(dashboard: Dashboard) -> list[str]:
    """What is not refused of somebody without the token, or with a wrong one."""
    asked = [(who, *question) for who in (None, "wrong") for question in QUESTIONS]
    answers = [(who, method, path, dashboard.ask(method, path, who, body).status) for who, method, path, body in asked]
    return [
        f"{method} {path} {'without a token' if who is None else 'with a wrong one'}: HTTP {status}"
        for who, method, path, status in answers
        if status not in REFUSALS
    ]


def _run(dashboard: Dashboard, token: str, gpus: int, waiter: Waiter) -> tuple[Mapping[str, Any], bool]:
    """A job run to its end, or that of the time given, with its log; it is removed."""
    path = f"{JOBS}groundwork-verify-{secrets.token_hex(8)}"
    entrypoint = f"python -c {shlex.quote(inspect.getsource(job_program))}"
    asked = {"entrypoint_num_gpus": gpus} if gpus else {"entrypoint_num_cpus": 1}
    job = {"entrypoint": entrypoint, "submission_id": path.removeprefix(JOBS), **asked}
    submitted = dashboard.ask("POST", JOBS, token, job)
    if not submitted.good:
        raise GroundworkError(f"A job is not taken: HTTP {submitted.status} {submitted.text[:200]}", REMEDY)
    try:
        answer, ended = waiter.until(
            lambda: dashboard.ask("GET", path, token), lambda found: found.fields.get("status") in ENDED
        )
        logs = dashboard.ask("GET", f"{path}/logs", token).fields.get("logs", "")
        return {**answer.fields, "logs": str(logs)}, ended
    finally:
        _remove(dashboard, token, path, waiter)


def _remove(dashboard: Dashboard, token: str, path: str, waiter: Waiter) -> None:
    """End it where it did not, since one that runs cannot be deleted."""
    if dashboard.ask("GET", path, token).fields.get("status") not in ENDED:
        dashboard.ask("POST", f"{path}/stop", token)
        waiter.until(lambda: dashboard.ask("GET", path, token), lambda found: found.fields.get("status") in ENDED)
    dashboard.ask("DELETE", path, token)


def _judge(job: Mapping[str, Any], ended: bool, gpus: int) -> Check:
    wanted = f"a job on a worker with {gpus} GPUs, and none on the head"
    lines = job["logs"].strip().splitlines()
    if not ended or job.get("status") != "SUCCEEDED":
        state = f"{job.get('status')}{'' if ended else ', not ended in time'}: {job.get('message') or ''}"
        return failed(PROVED, "\n".join([state, *lines[-10:]]), wanted, REMEDY)
    said = json.loads(lines[-1])
    good = (len(said["uuids"]), said["counted"], said["head"], said["on_head"]) == (gpus, gpus, 0, False)
    if good:
        return ok(PROVED, f"a job saw {', '.join(said['uuids']) or 'no GPU'}; the head has none", wanted)
    return failed(
        PROVED,
        f"a job {'on the head ' if said['on_head'] else ''}saw {len(said['uuids'])} GPUs and Ray counts "
        f"{said['counted']:g} there; the head has {said['head']:g}",
        wanted,
        "See the RayCluster's rayStartParams and limits, and `nvidia-smi -L` in the worker's pod.",
    )
