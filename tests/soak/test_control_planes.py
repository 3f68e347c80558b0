"""Three control planes: one cluster out of three hosts, which goes on when one of them is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from site_under_test import Lab, Site, await_that, changed_inventory

LAB = Lab("soak-control-planes")


def all_to_control_plane(groups: dict[str, Any]) -> None:
    groups["control_plane"]["hosts"] |= groups.pop("workers")["hosts"]


@pytest.fixture
def inventory(tmp_path: Path) -> Iterator[Path]:
    """An inventory of three fresh hosts, all of them in control_plane."""
    LAB("down")
    LAB("up", "--host", "n1", "--host", "n2", "--host", "n3", timeout=3600)
    yield changed_inventory(LAB, tmp_path, all_to_control_plane)
    LAB("down")


def test_three_control_planes_survive_the_loss_of_the_first(inventory: Path) -> None:
    site = Site(LAB)
    run = site.play(inventory=inventory)
    assert run.status == 0, run.tail
    voters = [check["observed"] for check in site.checks() if check["name"] == "microk8s_cluster.datastore_voters"]
    assert voters == ["3"]
    again = site.play(inventory=inventory)
    assert set(again.changed.values()) == {0}, again.tail
    LAB("fault", "stop", "n1")

    def answers() -> bool:
        said = LAB.shell("n2", "/snap/bin/microk8s kubectl get nodes --no-headers", check=False)
        return "n1 NotReady" in " ".join(said.split())

    await_that(answers, 300, "the others say that n1 is not ready")
