"""Each part of the platform is switched off by one variable; the rest converges, and the part comes when wanted."""

from __future__ import annotations

from site_under_test import Site

PARTS = {
    "monitoring": "monitoring",
    "ray": "ray",
    "dvc": "",  # it has a bucket and Secrets alone
    "mlflow": "mlflow",
    "postgresql": "postgresql",
    "object_store": "object-store",
    "shared_storage": "local-path-storage",
}
"""Roles and their namespaces, those that others rest on last."""


def namespaces(site: Site) -> set[str]:
    """Those of PARTS that have pods."""
    found = site.kubectl("get", "pods", "-A", "-o=jsonpath={.items[*].metadata.namespace}").split()
    return set(found) & set(PARTS.values())


def test_parts_come_one_after_the_other(fresh: Site) -> None:
    off = [word for part in PARTS for word in ("-e", f'{{"{part}_enabled": false}}')]
    run = fresh.play(*off)
    assert run.status == 0, run.tail
    assert namespaces(fresh) == set()
    for number, part in reversed(list(enumerate(PARTS))):
        run = fresh.play(*off[: 2 * number])
        assert run.status == 0, f"{part}: {run.tail}"
        assert namespaces(fresh) == set(list(PARTS.values())[number:]) - {""}
