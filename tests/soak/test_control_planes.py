"""Three control planes: one cluster out of three hosts, which goes on when one of them is gone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from site_under_test import Lab, Site, await_that

LAB = Lab("soak-control-planes")


@pytest.fixture
def inventory(tmp_path: Path) -> Iterator[Path]:
    """An inventory of three fresh hosts, all of them in control_plane."""
    LAB("down")
    LAB("up", "--host", "n1", "--host", "n2", "--host", "n3", timeout=3600)
    target = tmp_path / "inventory"
    shutil.copytree(LAB.inventory, target)
    groups = yaml.safe_load((target / "hosts.yml").read_text())
    groups["control_plane"]["hosts"] |= groups.pop("workers")["hosts"]
    (target / "hosts.yml").write_text(yaml.safe_dump(groups))
    yield target
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
