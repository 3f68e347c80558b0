"""The gates, case by case."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mlstack.check import passed
from mlstack.config import Judgement
from mlstack.judgement import gates
from mlstack.judgement.evaluation import Evaluation, Judged
from mlstack.judgement.metrics import Interval, Scores
from mlstack.model_card import ModelCard

NOTHING = Scores(Interval(0, 0, 0), Interval(0, 0, 0), {}, 0, [], [])
BETTER, WORSE = Interval(0.02, 0.01, 0.03), Interval(-0.02, -0.03, 0.0)


def judged(name: str, labels: Sequence[str] = ("a", "b"), md5: str = "now") -> Judged:
    return Judged(ModelCard("transformer", name, md5, "", tuple(labels)), NOTHING)


def evaluation(
    candidate: Judged,
    over_baseline: Interval = BETTER,
    over_champion: Interval | None = None,
    champion: Judged | None = None,
) -> Evaluation:
    models = {"candidate": candidate, "baseline": judged("baseline-1")}
    differences = {"baseline": {"macro_f1": over_baseline}}
    if over_champion:
        models["champion"] = champion or judged("train-0")
        differences["champion"] = {"macro_f1": over_champion}
    return Evaluation("data", "now", 10, ("a", "b"), models, differences)


CANDIDATE = judged("train-1")
CASES = {
    "better than the baseline, no champion": (evaluation(CANDIDATE), []),
    "better than both": (evaluation(CANDIDATE, BETTER, BETTER), []),
    "worse than the baseline": (evaluation(CANDIDATE, WORSE), ["gate.beats_baseline"]),
    "worse than the champion": (evaluation(CANDIDATE, BETTER, WORSE), ["gate.beats_champion"]),
    "as good as the champion": (evaluation(CANDIDATE, BETTER, Interval(0, 0, 0)), ["gate.beats_champion"]),
    "trained on other data": (evaluation(judged("train-1", md5="before")), ["gate.same_data"]),
    "other labels than the champion": (evaluation(judged("train-1", "ac"), BETTER, BETTER), ["gate.same_labels"]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_candidate_has_to_pass_every_gate(case: str) -> None:
    found, failed = CASES[case]
    checks = gates.judge(found, Judgement())
    assert [check.name for check in checks if check.status == "failed"] == failed
    assert passed(checks) == (not failed)


def test_a_margin_can_be_wanted() -> None:
    assert passed(gates.judge(evaluation(CANDIDATE), Judgement(min_margin=0.01)))
    assert not passed(gates.judge(evaluation(CANDIDATE), Judgement(min_margin=0.02)))


def test_a_win_that_may_be_luck_says_so() -> None:
    checks = gates.judge(evaluation(CANDIDATE, Interval(0.01, -0.01, 0.03)), Judgement())
    assert passed(checks)
    assert "may be luck" in checks[2].observed


def test_labels_that_differ_are_named() -> None:
    checks = gates.judge(evaluation(judged("train-1", "ac"), BETTER, BETTER), Judgement())
    assert checks[1].observed == "without b; new: c"
