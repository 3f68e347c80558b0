"""What e2e samples once, many times: site.yml killed anywhere, a host restarted meanwhile, the lab raised again."""

from __future__ import annotations

import random
import threading

import pytest
from site_under_test import Lab, Site

TASKS = 200
"""So many tasks site.yml shows on fresh hosts, about."""


@pytest.mark.parametrize("attempt", range(10))
def test_site_yml_killed_at_a_random_task(lab: Lab, seed: int, attempt: int) -> None:
    lab("down")
    lab("up")
    task = random.Random(seed * 100 + attempt).randint(1, TASKS)
    site = Site(lab)
    print(f"killed at task {task}: {site.kill_at_task(task)}")
    run = site.play()
    assert run.status == 0, run.tail
    assert not site.checks("failed")


def test_a_host_restarted_in_the_middle_of_site_yml(lab: Lab, seed: int) -> None:
    lab("down")
    lab("up")
    site = Site(lab)
    restart = threading.Timer(random.Random(seed).uniform(20, 120), lambda: lab("reboot", "n2"))
    restart.start()
    site.play()
    restart.join()
    run = site.play()
    assert run.status == 0, run.tail


def test_the_lab_comes_up_three_times_in_a_row(lab: Lab) -> None:
    for _ in range(3):
        lab("down")
        lab("up")
        assert {lab.shell(host, "hostname").strip() for host in ("n1", "n2", "n3")} == {"n1", "n2", "n3"}
