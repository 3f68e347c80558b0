"""The e2e tests' fixtures, and which of the tests run: all of them in soak, a sample in e2e."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from fixtures import SEED, fresh_site, lab, proved, python, seed, site, training_begun

__all__ = ["fresh_site", "lab", "proved", "python", "seed", "site", "training_begun"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Soak's option."""
    parser.addoption("--in-full", action="store_true", help="run those too that are marked soak, and all of a sample")


def pytest_report_header() -> str:
    """How to have the same choices again."""
    return f"seed: {SEED} (GROUNDWORK_SEED={SEED} repeats this run)"


@pytest.hookimpl(trylast=True)  # after -k: who names one of a sample has that one
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what e2e leaves to soak."""
    if config.getoption("--in-full"):
        return
    chosen = sample(items)
    left = [item for item in items if item.get_closest_marker("soak") or item not in chosen]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


def sample(items: list[pytest.Item]) -> set[pytest.Item]:
    """Those without the marker `sampled`, and of each group of it one."""
    groups = defaultdict(list)
    for item in items:
        marker = item.get_closest_marker("sampled")
        groups[marker.args[0] if marker else item.nodeid].append(item)
    return {random.Random(f"{SEED} {name}").choice(members) for name, members in groups.items()}
