"""What the trials of a search are: the configuration as it is, and others out of the space, each once."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

from mlstack.config import Config, with_settings
from mlstack.errors import UsageError

Settings = Mapping[str, Any]
"""By dotted path, as in `training.learning_rate`."""
SECTIONS = ("model", "training")
TRIES = 100
"""A space of few choices may be exhausted: so many draws without a new one say that it is."""


def trials(config: Config) -> list[Settings]:
    """The settings of each trial: params.yaml's own first, so that what is found is never worse.

    Raises:
        UsageError: where the space is empty, names what cannot be searched, or has values that are not allowed.
    """
    space = config.tune.space
    if not space:
        remedy = "Name one, as in `tune: {space: {training.learning_rate: {low: 1.0e-5, high: 1.0e-3}}}`."
        raise UsageError("tune.space is empty: there is nothing to search", remedy)
    for path, choice in space.items():
        _check(path, choice)
    dice = random.Random(config.training.seed)  # no secret
    found: list[Settings] = [{path: _current(config, path, _draw(choice, dice)) for path, choice in space.items()}]
    for _ in range(TRIES * config.tune.trials):
        drawn = {path: _draw(choice, dice) for path, choice in space.items()}
        if len(found) < config.tune.trials and drawn not in found:
            with_settings(config, drawn)  # every value is one that is allowed, or nothing begins
            found.append(drawn)
    return found


def _check(path: str, choice: Mapping[str, Any]) -> None:
    remedy = "Write `{low: …, high: …}` with 0 < low < high, or `{choices: […]}`."
    if path.partition(".")[0] not in SECTIONS:
        raise UsageError(f"tune.space: {path} is not what a model is made of", f"Search in {' and '.join(SECTIONS)}.")
    if set(choice) == {"choices"} and isinstance(choice["choices"], list) and choice["choices"]:
        return
    if set(choice) != {"low", "high"} or not all(isinstance(one, int | float) for one in choice.values()):
        raise UsageError(f"tune.space: {path} is not understood", remedy)
    if not 0 < choice["low"] < choice["high"]:
        raise UsageError(f"tune.space: {path} goes from {choice['low']} to {choice['high']}", remedy)


def _draw(choice: Mapping[str, Any], dice: random.Random) -> Any:
    if "choices" in choice:
        return dice.choice(choice["choices"])
    low, high = choice["low"], choice["high"]
    value = math.exp(dice.uniform(math.log(low), math.log(high)))
    return round(value) if isinstance(low, int) and isinstance(high, int) else float(f"{value:.4g}")


def _current(config: Config, path: str, drawn: Any) -> Any:
    found: Any = config.model_dump(mode="json")
    try:
        for part in path.split("."):
            found = found[part]
    except (KeyError, TypeError):
        with_settings(config, {path: drawn})  # says which key is near, where it is misspelled
        raise UsageError(f"tune.space: params.yaml has no {path} to begin with", "Set it there too.") from None
    return found
