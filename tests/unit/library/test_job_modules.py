"""The modules that run Jobs, as Ansible runs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.groundwork.kubernetes.job import Ended

from tests.unit.library.conftest import Module

Load = Callable[[str], Module]
JOB: dict[str, Any] = {"kind": "Job", "metadata": {"name": "dump", "namespace": "ns"}}
CHECK: dict[str, Any] = {"name": "a.b", "definition": JOB, "wanted": "rows", "remedy": "Look."}
GOOD = Ended(True, {"fetch": "fetched\n", "keep": "one\ntwo\n"})
BAD = Ended(False, {"keep": "no space\n"}, "Error")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Callable[[Module, Ended], list[Any]]:
    """Have a module's Jobs end in a given way; a list of those that were run."""

    def prepare(module: Module, ended: Ended) -> list[Any]:
        jobs: list[Any] = []

        def run(_cluster: object, definition: Any, _waiter: object) -> Ended:
            jobs.append(definition)
            return ended

        monkeypatch.setattr(module.code, "Client", lambda *_: None)
        monkeypatch.setattr(module.code.job, "run", run)
        return jobs

    return prepare


def test_a_job_is_a_change_and_tells_what_it_said(load: Load, ran: Callable[[Module, Ended], list[Any]]) -> None:
    module = load("kubernetes_job")
    jobs = ran(module, GOOD)
    found = module.run(definition=JOB)
    assert (found["changed"], found["said"], jobs) == (True, dict(GOOD.said), [JOB])


def test_in_check_mode_no_job_is_run(load: Load, ran: Callable[[Module, Ended], list[Any]]) -> None:
    module = load("kubernetes_job")
    jobs = ran(module, GOOD)
    assert (module.run(check=True, definition=JOB)["changed"], jobs) == (True, [])


def test_a_job_that_fails_says_why(load: Load, ran: Callable[[Module, Ended], list[Any]]) -> None:
    module = load("kubernetes_job")
    ran(module, BAD)
    found = module.run(definition=JOB)
    assert (found["failed"], found["changed"]) == (True, False)
    assert "Job dump failed: no space\nError. Mend what it says" in found["msg"]


@pytest.mark.parametrize(("ended", "status", "observed"), [(GOOD, "ok", "two"), (BAD, "failed", "no space\nError")])
def test_a_job_proves_or_does_not(
    load: Load, ran: Callable[[Module, Ended], list[Any]], ended: Ended, status: str, observed: str
) -> None:
    module = load("kubernetes_job_verify")
    ran(module, ended)
    found = module.run(**CHECK)
    (check,) = found["checks"]
    assert (check["name"], check["status"], check["observed"], found["changed"]) == ("a.b", status, observed, False)


def test_a_proof_that_held_is_not_made_again(
    load: Load, ran: Callable[[Module, Ended], list[Any]], tmp_path: Path
) -> None:
    module = load("kubernetes_job_verify")
    jobs = ran(module, GOOD)
    remembered: dict[str, Any] = {**CHECK, "proofs": "changed", "proof_file": str(tmp_path / "proof")}
    module.run(**remembered, proof_subject="one")
    again = module.run(**remembered, proof_subject="one")
    assert (len(jobs), "proved" in again["checks"][0]["observed"]) == (1, True)
    module.run(**remembered, proof_subject="two")
    assert len(jobs) == 2
