"""Role gpu_operator: what preflight states with and without a takeover, and of a cluster that cannot be asked."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.unit.roles import preflight
from tests.unit.roles.conftest import ROLES

FREE: dict[str, str] = {"name": "gpu_operator.none_is_left", "status": "ok", "observed": "", "wanted": "", "remedy": ""}
WAY = {**FREE, "name": "gpu_operator.no_gpu_pods_in_the_way"}
FILES = {**FREE, "name": "gpu_operator.no_files_are_left"}
SEEN: dict[str, Any] = {
    "site_admin_host": "n1",
    "__gpu_operator_host": {"checks": [FILES]},
    "__gpu_operator_cluster": {"none_is_left": FREE, "checks": [WAY]},
}


def names(**values: Any) -> list[str]:
    return [check["name"].removeprefix("gpu_operator.") for check in preflight.found("gpu_operator", **values)]


def test_a_takeover_is_judged_where_one_is_to_begin() -> None:
    assert names(**SEEN) == ["no_files_are_left", "none_is_left"]
    assert names(**SEEN, gpu_operator_takeover=True) == ["no_files_are_left", "none_is_left", "no_gpu_pods_in_the_way"]


def test_a_gpu_node_beside_the_admin_host_tells_of_itself() -> None:
    host = {"site_admin_host": "n9", "__gpu_operator_host": {"checks": [FILES]}, "__gpu_operator_cluster": {}}
    assert names(**host, gpu_operator_takeover=True) == ["no_files_are_left"]


def test_without_a_cluster_there_is_nothing_to_take_over() -> None:
    bare = {"site_admin_host": "", "__gpu_operator_host": {"checks": [FILES]}, "__gpu_operator_cluster": {}}
    assert names(**bare) == ["no_files_are_left"]
    assert names(**bare, gpu_operator_takeover=True) == ["no_files_are_left", "cluster_is_there"]


def test_a_cluster_that_does_not_answer_is_told() -> None:
    (check,) = [
        check
        for check in preflight.found("gpu_operator", **{**SEEN, "__gpu_operator_cluster": {"msg": "refused"}})
        if check["name"] == "gpu_operator.none_is_left"
    ]
    assert (check["status"], check["observed"]) == ("failed", "refused")


@pytest.mark.parametrize("role", ["gpu_operator", "container_toolkit", "gpu_device_plugin"])
def test_what_a_takeover_cures_are_checks_that_there_are(role: str) -> None:
    """A misspelled name would let nothing pass, and be noticed by who needs it."""
    plays = yaml.safe_load((ROLES.parent / "playbooks/operations/adopt.yml").read_text())
    cured = next(play["vars"]["preflight_cured"] for play in plays if "preflight_cured" in play.get("vars", {}))
    code = [*(ROLES / role).rglob("*.yml"), *(ROLES.parent / "module_utils/groundwork/gpu_operator").glob("*.py")]
    text = "\n".join(path.read_text() for path in code)
    assert [name for name in cured if name.startswith(f"{role}.") and name not in text] == []
