"""The gates between a candidate and the registry: each is a check, and all have to be passed."""

from __future__ import annotations

from collections.abc import Sequence

from mlstack.check import Check
from mlstack.config import Judgement
from mlstack.judgement.evaluation import Evaluation, Judged


def judge(evaluation: Evaluation, wanted: Judgement) -> list[Check]:
    """The verdicts, in the order in which people want to know them."""
    champion = evaluation.models.get("champion")
    return [
        _same_data(evaluation),
        _same_labels(evaluation.candidate, champion or evaluation.models["baseline"]),
        _beats("baseline", evaluation, wanted),
        _beats("champion", evaluation, wanted),
    ]


def _same_data(evaluation: Evaluation) -> Check:
    trained_on = evaluation.candidate.card.data_md5
    return Check(
        "gate.same_data",
        "ok" if trained_on == evaluation.data_md5 else "failed",
        f"trained on version {trained_on[:10]} of the data",
        f"the version that it is tested on, {evaluation.data_md5[:10]}",
        "Another version's training split may hold texts of this one's test split: train again.",
    )


def _same_labels(candidate: Judged, served: Judged) -> Check:
    """Who uses what is served relies on its labels."""
    ours, theirs = candidate.card.labels, served.card.labels
    faults = [f"without {label}" for label in _beyond(theirs, ours)] + [f"new: {one}" for one in _beyond(ours, theirs)]
    return Check(
        "gate.same_labels",
        "failed" if faults else "ok",
        "; ".join(faults) or f"{len(ours)} labels",
        f"the labels of what is served ({served.card.run_name})",
        "Register a model with other labels under another model.name, and have its users change over.",
    )


def _beats(other: str, evaluation: Evaluation, wanted: Judgement) -> Check:
    name = f"gate.beats_{other}"
    if other not in evaluation.models:
        return Check(name, "skipped", "there is none, or it is the candidate or the baseline itself")
    found = evaluation.differences[other][wanted.metric]
    seen = f"{wanted.metric} {found.value:+.4f}, 95 % interval [{found.low:+.4f}, {found.high:+.4f}]"
    asked = f"more than {wanted.min_margin:+.4f} over {evaluation.models[other].card.run_name}"
    if found.value <= wanted.min_margin:
        return Check(name, "failed", seen, asked, "The report shows where it loses; the better one stays in service.")
    if found.low > 0:
        return Check(name, "ok", seen, asked)
    remedy = "Test on more texts, or ask for more by judgement.min_margin."
    return Check(name, "warning", f"{seen}: it may be luck, the interval holds 0", asked, remedy)


def _beyond(labels: Sequence[str], others: Sequence[str]) -> list[str]:
    return [label for label in labels if label not in others]
