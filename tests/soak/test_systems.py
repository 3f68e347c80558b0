"""Every supported system in one site: what differs between them is packages, services and where snaps come from."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from site_under_test import Lab, Site

LAB = Lab("soak-systems")
HOSTS = ["--host", "d13=debian-13", "--host", "ubuntu=ubuntu-24.04,gpus=H100-80GBx2"]
STORE = ["-e", json.dumps({"site_mirror_snaps_url": ""})]


@pytest.fixture
def mixed() -> Iterator[Site]:
    """A lab of a Debian 13 host and the double of an Ubuntu host, whose snaps come from the double's store."""
    LAB("down")
    LAB("up", *HOSTS, timeout=3600)
    for host in ("d13", "ubuntu"):
        LAB.shell(host, 'echo \'{"store": "http://mirror/snaps"}\' > /etc/lab/snapd.json')
    yield Site(LAB)
    LAB("down")


def test_debian_13_and_ubuntu_make_one_site_with_snaps_from_the_store(mixed: Site) -> None:
    run = mixed.play(*STORE)
    assert run.status == 0, run.tail
    assert not mixed.checks("failed")
    again = mixed.play(*STORE)
    assert again.status == 0, again.tail
    assert set(again.changed.values()) == {0}, again.tail
