"""What preflight refuses of an object store and of PostgreSQL, with what to do: nothing was changed until then."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.roles.preflight import found

SHARED = {"shared_storage_path": "/srv/shared"}
ALONE = {"groups": {"control_plane": ["n1"]}}
OK, FAILED, WARNING, SKIPPED = "ok", "failed", "warning", "skipped"


def check(name: str, status: str, observed: str = "") -> dict[str, str]:
    return {"name": name, "status": status, "observed": observed}


@pytest.mark.parametrize(
    ("values", "status", "observed"),
    [
        (SHARED, OK, "storage class shared"),
        ({**SHARED, "shared_storage_class": "nfs"}, OK, "storage class nfs"),
        ({"object_store_storage_class": "ceph"}, OK, "storage class ceph"),
        ({"object_store_storage_class": "ceph", "shared_storage_enabled": False}, OK, "storage class ceph"),
        (ALONE, OK, "storage class local"),
        ({}, WARNING, "storage class local"),
        ({"shared_storage_enabled": False}, FAILED, "no storage class"),
        ({**SHARED, "shared_storage_enabled": False}, FAILED, "no storage class"),
    ],
)
def test_objects_need_a_volume_that_all_nodes_share(values: dict[str, Any], status: str, observed: str) -> None:
    named, verdict = found("object_store", **values)
    assert named["status"] == OK
    assert verdict["name"] == "object_store.has_a_volume"
    assert (verdict["status"], verdict["observed"]) == (status, observed)
    assert ("object_store_endpoint" in verdict["remedy"]) is (status != OK)


@pytest.mark.parametrize("values", [{"object_store_enabled": False}, {"object_store_enabled": False, **SHARED}])
def test_an_object_store_that_is_off_is_not_judged(values: dict[str, Any]) -> None:
    assert found("object_store", **values) == []


@pytest.mark.parametrize(
    ("asked", "statuses"),
    [
        ([], [FAILED, OK]),
        ([[check("object_store.answers", OK), check("object_store.key_is_right", OK)]], [OK, OK, OK, OK]),
        (
            [[check("object_store.answers", FAILED), check("object_store.key_is_right", SKIPPED)]],
            [FAILED, SKIPPED, OK, OK],
        ),
        (
            [[check("object_store.answers", OK), check("object_store.key_is_right", OK)],
             [check("object_store.answers", OK), check("object_store.key_is_right", FAILED)]],
            [OK, OK, OK, FAILED, OK, OK],
        ),
    ],
)  # fmt: skip
def test_a_store_that_the_site_has_is_asked_with_every_key(asked: list[Any], statuses: list[str]) -> None:
    results = {"results": [{"checks": checks} for checks in asked]}
    verdicts = found("object_store", object_store_endpoint="https://s3", __object_store_asked=results)
    assert [verdict["status"] for verdict in verdicts] == statuses
    assert verdicts[-2]["name"] == "object_store.key_is_given"
    assert ("object_store_keys" in verdicts[-2]["remedy"]) is (not asked)


@pytest.mark.parametrize(
    ("name", "prefix", "status"),
    [
        ("app", "", OK),
        ("my-app-2", "site-", OK),
        ("b2", "", FAILED),
        ("b2", "site-", OK),
        ("App", "", FAILED),
        ("my_app", "", FAILED),
        ("app-", "", FAILED),
        ("a" * 64, "", FAILED),
    ],
)
def test_names_are_such_as_buckets_may_have(name: str, prefix: str, status: str) -> None:
    consumers = [{"name": "good", "namespace": "team"}, {"name": name, "namespace": "team"}]
    (verdict, _volume) = found("object_store", object_store_consumers=consumers, object_store_bucket_prefix=prefix)
    assert (verdict["name"], verdict["status"]) == ("object_store.consumers_are_named", status)
    assert verdict["observed"] == (f"{prefix}{name}" if status == FAILED else "2 in object_store_consumers")


@pytest.mark.parametrize(
    ("values", "statuses"),
    [
        ({}, {"has_a_volume": OK, "has_a_place_for_dumps": OK}),
        ({"shared_storage_enabled": False}, {"has_a_volume": FAILED, "has_a_place_for_dumps": OK}),
        (
            {"shared_storage_enabled": False, "postgresql_storage_class": "disks"},
            {"has_a_volume": OK, "has_a_place_for_dumps": OK},
        ),
        ({"object_store_enabled": False}, {"has_a_volume": OK, "has_a_place_for_dumps": FAILED}),
        (
            {"object_store_enabled": False, "postgresql_backup_enabled": False},
            {"has_a_volume": OK, "has_a_place_for_dumps": OK},
        ),
        ({"postgresql_enabled": False, "shared_storage_enabled": False}, {}),
    ],
)
def test_postgresql_needs_a_disk_and_a_place_for_dumps(values: dict[str, Any], statuses: dict[str, str]) -> None:
    verdicts = found("postgresql", **values)
    assert {verdict["name"].partition(".")[2]: verdict["status"] for verdict in verdicts} == statuses
    assert all(bool(verdict["remedy"]) is (verdict["status"] == FAILED) for verdict in verdicts)


@pytest.mark.parametrize(
    ("reached", "status"),
    [({"state": "started"}, OK), ({"msg": "Timeout when waiting for db:5432"}, FAILED), ({"failed": True}, FAILED)],
)
def test_a_postgresql_that_the_site_has_is_reached(reached: dict[str, Any], status: str) -> None:
    (verdict,) = found("postgresql", postgresql_host="db", __postgresql_reached=reached)
    assert (verdict["name"], verdict["status"]) == ("postgresql.answers", status)
    assert verdict["observed"].startswith("db:5432 is ")
    assert ("postgresql_host" in verdict["remedy"]) is (status == FAILED)
