"""What e2e samples once, many times: site.yml killed anywhere, a host restarted meanwhile, the lab raised again."""

from __future__ import annotations

import random
import threading

import pytest
from site_under_test import Lab, Site

TASKS = 200
"""So many tasks site.yml shows on fresh hosts, about."""


def finish(site: Site) -> None:
    """Run site.yml again; it ends well, and so does everything it verifies."""
    run = site.play()
    assert run.status == 0, run.tail
    assert not site.checks("failed")


@pytest.mark.parametrize("attempt", range(10))
def test_site_yml_killed_at_a_random_task(fresh: Site, seed: int, attempt: int) -> None:
    task = random.Random(seed * 100 + attempt).randint(1, TASKS)
    print(f"killed at task {task}: {fresh.kill_at_task(task)}")
    finish(fresh)


@pytest.mark.parametrize("attempt", range(2))
def test_a_host_restarted_in_the_middle_of_site_yml(fresh: Site, seed: int, attempt: int) -> None:
    seconds = random.Random(seed * 100 + attempt).uniform(20, 120)
    restart = threading.Timer(seconds, lambda: fresh.lab("reboot", "n2"))
    restart.start()
    run = fresh.play()
    restart.join()
    print(f"n2 restarted after {seconds:.0f} s; site.yml ended with {run.status}")
    finish(fresh)


def test_the_lab_comes_up_three_times_in_a_row() -> None:
    lab = Lab("soak-up")
    for _ in range(3):
        lab("up", timeout=3600)
        assert {lab.shell(host, "hostname").strip() for host in ("n1", "n2", "n3")} == {"n1", "n2", "n3"}
        lab("down")
