from __future__ import annotations

import numpy as np
import pytest

from mlstack.errors import MlstackError
from mlstack.serving.following import Follower, Loaded
from tests.serving.doubles import Lengths, loaded


class Registry:
    """One alias, and versions that may be damaged."""

    def __init__(self) -> None:
        self.number, self.is_down, self.loads = "1", False, list[str]()

    def find(self) -> str:
        if self.is_down:
            raise MlstackError("MLflow does not answer", "wait")
        return self.number

    def load(self, number: str) -> Loaded:
        self.loads.append(number)
        if number == "damaged":
            raise OSError("no weights")
        return loaded(number)


@pytest.fixture
def registry() -> Registry:
    return Registry()


def follower(registry: Registry, first: str = "1") -> Follower:
    return Follower(registry.find, registry.load, first, 0.01)


def test_a_new_champion_is_swapped_in_once(registry: Registry) -> None:
    following = follower(registry)
    registry.number = "2"
    following.look()
    following.look()
    assert following.current.model.version == "2"
    assert registry.loads == ["1", "2"]


def test_a_version_that_cannot_be_loaded_leaves_the_old_one(registry: Registry) -> None:
    following = follower(registry)
    registry.number = "damaged"
    following.look()
    assert following.current.model.version == "1"
    assert following.trouble == "version damaged cannot be loaded: no weights"
    registry.number = "1"
    following.look()
    assert following.trouble == ""


def test_a_registry_that_does_not_answer_changes_nothing(registry: Registry) -> None:
    following = follower(registry)
    registry.is_down = True
    following.look()
    assert (following.current.model.version, following.trouble) == ("1", "MLflow does not answer")


def test_a_replica_begins_without_the_registry(registry: Registry) -> None:
    registry.is_down = True
    assert follower(registry, first="7").current.model.version == "7"


def test_an_alias_that_was_taken_away_changes_nothing(registry: Registry) -> None:
    following = follower(registry)
    registry.number = ""
    following.look()
    assert (following.current.model.version, following.trouble) == ("1", "")


def test_the_thread_follows_until_it_is_told_to_end(registry: Registry) -> None:
    following = follower(registry)
    following.start()
    registry.number = "2"
    for _ in range(500):
        if following.current.model.version == "2":
            break
        following.join(0.01)
    assert following.current.model.version == "2"
    following.end()
    following.join(5)
    assert not following.is_alive()


def test_an_answer_is_the_labels_in_their_columns() -> None:
    answer = loaded().answer(Lengths().predict(["a"]))
    assert answer.predictions[0].label == "short"
    assert np.isclose(answer.predictions[0].probabilities["long"], 0.1)
