"""Fixtures of the e2e and soak tests: one lab and one site for all; what tests do to it, they mend."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import outside
import pytest
import training
from site_under_test import Lab, Report, Site

LAB = Lab(os.environ.get("GROUNDWORK_E2E_LAB", "e2e"))
KEEP = bool(os.environ.get("GROUNDWORK_KEEP"))
"""While a test is being written: keep the lab at the end, and take it as it is the next time."""
SEED = int(os.environ.get("GROUNDWORK_SEED") or random.SystemRandom().randrange(10_000))
"""The number behind every random choice; GROUNDWORK_SEED repeats a run."""


@pytest.fixture(scope="session")
def seed() -> int:
    """The number behind every random choice."""
    return SEED


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Three fresh hosts; removed at the end."""
    if not KEEP:
        LAB("down")
    LAB("up", timeout=3600)
    LAB("share", "n1")
    yield LAB
    if not KEEP:
        LAB("down")


@pytest.fixture(scope="session")
def fresh_site(lab: Lab) -> Site:
    """site.yml and hosts on which nothing of it ran yet."""
    return Site(lab)


@pytest.fixture(scope="session")
def site(fresh_site: Site, seed: int) -> Site:
    """A finished site: site.yml was killed at a random task, and the next run finished it, telling all that it does."""
    if KEEP and (fresh_site.artifacts / "report.json").exists():
        return fresh_site
    task = random.Random(seed).randint(40, 200)
    print(f"killed at task {task}: {fresh_site.kill_at_task(task)}")
    run = fresh_site.play("-vvv", "--diff")
    assert run.status == 0, run.tail
    return fresh_site


@pytest.fixture(scope="session")
def proved(site: Site) -> Report:
    """What the finished site told of itself, before a test broke something: all was new, so all was proved."""
    return site.report()


@pytest.fixture(scope="session")
def python() -> Path:
    """A Python with what people have on their own machines: DVC, and MLflow's client."""
    return outside.python()


@pytest.fixture(scope="session")
def training_begun(
    site: Site, python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[dict[str, Any]]]:
    """The first training, beside other tests: most of its time it waits for images, pods and a killed worker."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool.submit(training.run, site, python, tmp_path_factory.mktemp("training"))
