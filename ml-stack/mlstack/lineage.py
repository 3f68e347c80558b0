"""Where a model came from, and what came of data or of a commit: MLflow's runs and versions have it in their tags."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlstack import registry, tracking
from mlstack.config import Config, with_settings
from mlstack.errors import UsageError
from mlstack.registry import Version

SHORTEST = 7
"""Hex digits of a commit or of a data set's version, as git abbreviates."""
MOST_RUNS = 100
Node = tuple[str, list["Node"]]


@dataclass(frozen=True)
class Origin:
    """A run, what it was made of, and the versions of its model.

    dirty  whether the project had changes that the commit has not; the run keeps them as about/dirty.diff
    """

    run_name: str
    run_id: str
    status: str
    git_commit: str
    dirty: bool
    data_path: str
    data_md5: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    versions: Sequence[Version]


def trace(config: Config, wanted: str) -> list[Origin]:
    """The runs that a word names, newest first.

    Args:
        config: names the model, where the word does not.
        wanted: a version's number or alias, a run's name, a commit, a data set's version, or a served answer's JSON.

    Raises:
        UsageError: where it names nothing.
    """
    name, word = _understood(wanted, config.model.name)
    config = with_settings(config, {"model.name": name})
    versions = registry.versions(config)
    named = [one for one in versions if word in (one.number, *one.aliases)]
    filters = [f"tags.`{tracking.RUN_NAME}` = '{named[0].run_name if named else word}'"]
    if re.fullmatch(rf"[0-9a-f]{{{SHORTEST},40}}(\.dir)?", word) and not named:
        filters += [f"tags.`{tag}` LIKE '{word}%'" for tag in ("data.md5", "git.commit")]
    with registry.told() as client:
        experiment = client.get_experiment_by_name(name)
        numbers = [experiment.experiment_id] if experiment else []
        for each in filters:
            if found := numbers and client.search_runs(numbers, each, max_results=MOST_RUNS):
                return [_origin(run, versions) for run in found]
    raise UsageError(
        f"nothing of {name} is named {word!r}",
        "Give a version's number or alias, a run's name, a commit, a data set's md5, or a served answer's JSON.",
    )


def as_text(origins: Sequence[Origin]) -> str:
    """A tree: from versions to the run and what it was made of; of several runs, from what they share to versions."""
    if len(origins) == 1:
        (only,) = origins
        heads = ", ".join(map(_version, only.versions)) or "no version"
        return "\n".join(_tree((heads, [(_run(only), [(part, []) for part in _parts(only)])])))
    runs: list[Node] = [(_run(one), [(_version(version), []) for version in one.versions]) for one in origins]
    shared = [text for text in _parts(origins[0]) if all(text in _parts(one) for one in origins)]
    return "\n".join(_tree((", ".join(shared) or f"{len(origins)} runs", runs)))


def _version(found: Version) -> str:
    aliases = f" ({', '.join(found.aliases)})" if found.aliases else ""
    return f"{found.name} version {found.number}{aliases}"


def _run(found: Origin) -> str:
    scores = [f"{name} {value:.4f}" for name, value in found.metrics.items() if name.startswith("test.")]
    return ", ".join([f"run {found.run_name}", found.status, *scores])


def _parts(found: Origin) -> list[str]:
    """What a run was made of."""
    changes = ", with changes that the run keeps as about/dirty.diff" if found.dirty else ""
    return [
        f"commit {found.git_commit or 'unknown'}{changes}",
        f"data {found.data_path}, version {found.data_md5}",
        "parameters " + ", ".join(f"{name}={value}" for name, value in found.params.items()),
    ]


def _tree(node: Node) -> list[str]:
    text, below = node
    lines = [text]
    for number, child in enumerate(below):
        last = number == len(below) - 1
        first, *rest = _tree(child)
        lines.append(f"{'└─' if last else '├─'} {first}")
        lines += [f"{'  ' if last else '│ '} {line}" for line in rest]
    return lines


def _understood(wanted: str, name: str) -> tuple[str, str]:
    """The model's name and the word that is asked for."""
    word = wanted.strip()
    if word.startswith("{"):
        try:
            answer = json.loads(word)
            answer = answer.get("model", answer)
            name, word = str(answer["name"]), str(answer["version"])
        except (ValueError, KeyError, AttributeError, TypeError):
            raise UsageError("this is no answer of a served model", "Give all of it, or its part `model`.") from None
    elif "/" in word:
        name, _, word = word.partition("/")
    if not re.fullmatch(r"[\w.-]+", word) or "'" in name:
        raise UsageError(f"{word!r} names nothing", "A name has letters, digits, dots, dashes and underscores.")
    return name, word


def _origin(run: Any, versions: Sequence[Version]) -> Origin:
    tags = run.data.tags
    return Origin(
        tags.get(tracking.RUN_NAME, ""),
        run.info.run_id,
        run.info.status.lower(),
        tags.get("git.commit", ""),
        bool(tags.get("git.dirty_diff_sha256")),
        tags.get("data.path", ""),
        tags.get("data.md5", ""),
        dict(sorted(run.data.params.items())),
        dict(sorted(run.data.metrics.items())),
        [one for one in versions if one.run_id == run.info.run_id],
    )
