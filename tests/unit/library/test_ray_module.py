"""The module that judges Ray, as Ansible runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError

from tests.unit.library.conftest import Module
from tests.unit.module_utils.ray.test_ray import RIGHT, FakeRay

Load = Callable[[str], Module]
ASKED: dict[str, Any] = {"address": "192.0.2.11", "gpus": 1}


@pytest.fixture
def ray() -> FakeRay:
    return FakeRay()


@pytest.fixture
def module(load: Load, ray: FakeRay, monkeypatch: pytest.MonkeyPatch) -> Module:
    """The module, of a cluster with a free GPU."""
    made = load("ray_verify")
    monkeypatch.setattr(made.code, "Client", lambda *_: None)
    monkeypatch.setattr(made.code, "find", lambda *_: (ray, RIGHT))
    monkeypatch.setattr(made.code, "room", lambda *_: True)
    monkeypatch.setattr(made.code, "READY_SECONDS", 0.0)
    return made


def statuses(found: dict[str, Any]) -> list[str]:
    assert found["changed"] is False
    return [check["status"] for check in found["checks"]]


def test_all_is_well(module: Module, ray: FakeRay) -> None:
    assert statuses(module.run(**ASKED)) == ["ok", "ok", "ok"]
    assert ray.jobs == {}


def test_in_check_mode_nothing_is_run(module: Module, ray: FakeRay) -> None:
    assert statuses(module.run(check=True, **ASKED)) == ["ok", "ok", "skipped"]
    assert not any(path.endswith("/logs") for _, path in ray.asked)


def test_no_job_is_sent_to_a_ray_that_lets_everybody_in(module: Module, ray: FakeRay) -> None:
    ray.open = {"/api/jobs/"}
    assert statuses(module.run(**ASKED)) == ["ok", "failed", "skipped"]


def test_where_there_is_no_ray_that_is_said(module: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(*_arguments: object) -> None:
        raise GroundworkError("ray-entrance is not there", "See the message.")

    monkeypatch.setattr(module.code, "find", find)
    found = module.run(**ASKED)
    assert statuses(found) == ["failed", "skipped", "skipped"]
    assert found["checks"][0]["observed"] == "ray-entrance is not there"
