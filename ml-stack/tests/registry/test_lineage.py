"""Lineage: from what is served to what it was made of, and back."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from mlstack import lineage, registry
from mlstack.config import Config
from mlstack.errors import UsageError


@pytest.fixture
def served(embedded: Config, make_run: Callable[[str], str]) -> Config:
    """A champion, and a run that was never registered."""
    registry.promote(embedded, registry.register(embedded, make_run("train-1")), None)
    make_run("train-2")
    return embedded


SERVED = (
    "1",
    "champion",
    "train-1",
    "c0ffee1",
    "reuters-r8/1",
    json.dumps({"predictions": [], "model": {"name": "reuters-r8", "version": "1"}}),
    json.dumps({"name": "reuters-r8", "version": 1}),
)
NOTHING = ("7", "train-3", "deadbeef", "{}", "{", "x' or 'a", "0123")


@pytest.mark.slow
def test_what_is_served_leads_to_its_run_and_data(served: Config) -> None:
    for wanted in SERVED:
        (found,) = lineage.trace(served, wanted)
        assert (found.run_name, found.data_md5[:4], found.git_commit) == ("train-1", "0123", "c0ffee10"), wanted
    assert found.params == {"training.epochs": "1"}
    assert lineage.as_text([found]).splitlines() == [
        "reuters-r8 version 1 (champion)",
        "└─ run train-1, finished",
        "   ├─ commit c0ffee10",
        "   ├─ data data, version 0123456789abcdef0123456789abcdef.dir",
        "   └─ parameters training.epochs=1",
    ]


@pytest.mark.slow
def test_data_leads_to_the_runs_and_versions_that_came_of_it(served: Config) -> None:
    found = lineage.trace(served, "0123456789ab")
    assert [one.run_name for one in found] == ["train-2", "train-1"]
    assert lineage.as_text(found).splitlines() == [
        "data data, version 0123456789abcdef0123456789abcdef.dir, parameters training.epochs=1",
        "├─ run train-2, finished",
        "└─ run train-1, finished",
        "   └─ reuters-r8 version 1 (champion)",
    ]


@pytest.mark.slow
def test_what_names_nothing_is_said_to(served: Config) -> None:
    for wanted in NOTHING:
        with pytest.raises(UsageError):
            lineage.trace(served, wanted)
