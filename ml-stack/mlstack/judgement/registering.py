"""From an evaluation to the registry: the baseline is the first champion, and who passed the gates its challenger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlstack import model_card, registry
from mlstack.config import Config
from mlstack.errors import UsageError
from mlstack.judgement import evaluation


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    champion   that is served now
    challenger the candidate's version; None where it was not registered, and `reason` says why
    """

    champion: registry.Version
    challenger: registry.Version | None = None
    reason: str = ""


def first_champion(config: Config, baseline: Path) -> registry.Version:
    """The champion; where there is none yet, the baseline becomes it, so that there is always something to serve."""
    found = registry.champion(config)
    if found is None:
        made = registry.register(config, model_card.read(baseline).run_name, {registry.GATES: "first"})
        found = registry.promote(config, made, None)
    return found


def register(config: Config, candidate: Path, baseline: Path, report: Path) -> Outcome:
    """Register the candidate, if it passed the gates.

    Raises:
        UsageError: where it was not evaluated, or against another champion.
    """
    champion = first_champion(config, baseline)
    if not candidate.exists():
        return Outcome(champion, reason=f"there is no candidate in {candidate}")
    run_name = model_card.read(candidate).run_name
    if champion.run_name == run_name:
        return Outcome(champion, reason=f"{run_name} is the champion already")
    found = evaluation.read(report)
    _fits(found, run_name, champion)
    failed = [check["name"] for check in found["gates"] if check["status"] == "failed"]
    if failed:
        return Outcome(champion, reason=f"{run_name} did not pass {', '.join(failed)}")
    tags = {registry.GATES: "passed", registry.JUDGED_AGAINST: champion.number}
    made = registry.register(config, run_name, tags)
    registry.mark(config, made, registry.CHALLENGER)
    return Outcome(champion, registry.version(config, made.number))


def _fits(found: dict[str, Any], run_name: str, champion: registry.Version) -> None:
    """The evaluation has to be of this candidate, and against this champion."""
    judged = {model: one["card"]["run_name"] for model, one in found["models"].items()}
    if judged["candidate"] != run_name:
        raise UsageError(f"the evaluation is of {judged['candidate']}, not of {run_name}", "Run mlstack evaluate.")
    if champion.run_name not in judged.values():
        raise UsageError(f"the candidate was not compared with the champion, {champion}", "Run mlstack evaluate again.")
