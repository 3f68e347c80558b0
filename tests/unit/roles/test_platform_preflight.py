"""What preflight refuses of MLflow and a DVC remote, with what to do: nothing was changed until then."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.roles.preflight import found

OK, FAILED = "ok", "failed"
LOGINS: dict[str, dict[str, str]] = {"mlflow": {}, "mlflow-auth": {}}


def statuses(name: str, **values: Any) -> dict[str, str]:
    """The statuses by the checks' names; whoever fails says what to do."""
    verdicts = found(name, site_admin_host="", **values)
    assert all(bool(verdict.get("remedy")) is (verdict["status"] == FAILED) for verdict in verdicts)
    return {verdict["name"].removeprefix(f"{name}."): verdict["status"] for verdict in verdicts}


@pytest.mark.parametrize(
    ("values", "faults"),
    [
        ({}, []),
        ({"postgresql_enabled": False}, ["has_a_database"]),
        ({"postgresql_host": "db.example"}, ["has_a_database"]),
        ({"postgresql_host": "db.example", "postgresql_logins": {"mlflow": {}}}, ["has_a_database"]),
        ({"postgresql_host": "db.example", "postgresql_logins": LOGINS}, []),
        ({"object_store_enabled": False}, ["has_an_object_store"]),
        ({"mlflow_client_namespaces": []}, []),
        ({"mlflow_client_namespaces": ["ray", "Team_A"]}, ["client_namespaces_are_named"]),
        ({"mlflow_client_namespaces": ["a" * 64]}, ["client_namespaces_are_named"]),
        ({"mlflow_node_port": 5000}, ["entrance_is_a_node_port"]),
        ({"mlflow_node_port": 32768}, ["entrance_is_a_node_port"]),
    ],
)
def test_mlflow_needs_what_keeps_its_data(values: dict[str, Any], faults: list[str]) -> None:
    verdicts = statuses("mlflow", **values)
    assert list(verdicts) == [
        "has_a_database",
        "has_an_object_store",
        "client_namespaces_are_named",
        "entrance_is_a_node_port",
    ]
    assert [name for name, status in verdicts.items() if status == FAILED] == faults


def test_the_login_that_is_missing_is_named() -> None:
    given = {"postgresql_host": "db.example", "postgresql_logins": {"mlflow": {}}}
    assert found("mlflow", site_admin_host="", **given)[0]["observed"] == "postgresql_logins has no mlflow-auth"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["default/kubernetes ", "mlflow/mlflow 30500", "monitoring/prometheus 30909"], OK),
        (["team/other 30500"], FAILED),
        (["team/other 30400 30500"], FAILED),
        (["team/other 305001"], OK),
    ],
)
def test_nobody_else_has_its_port(lines: list[str], status: str) -> None:
    listed = {"stdout_lines": lines}
    assert statuses("mlflow", __mlflow_services=listed)["entrance_port_is_free"] == status


@pytest.mark.parametrize(
    ("values", "faults"),
    [
        ({}, []),
        ({"object_store_enabled": False}, ["has_an_object_store"]),
        ({"dvc_remote_name": 'a"] b'}, ["remote_is_named"]),
        ({"dvc_remote_name": ""}, ["remote_is_named"]),
        ({"dvc_client_namespaces": ["-team"]}, ["client_namespaces_are_named"]),
    ],
)
def test_a_remote_needs_an_object_store_and_a_name(values: dict[str, Any], faults: list[str]) -> None:
    assert [name for name, status in statuses("dvc", **values).items() if status == FAILED] == faults


@pytest.mark.parametrize("name", ["mlflow", "dvc"])
def test_what_is_off_is_not_judged(name: str) -> None:
    assert statuses(name, **{f"{name}_enabled": False, "object_store_enabled": False}) == {}
