"""The report of an evaluation: one page that needs nothing else, and the same as JSON; the run has both."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from mlstack import page, registry, runs, tracking
from mlstack.check import Check, passed
from mlstack.config import Config
from mlstack.errors import UsageError
from mlstack.judgement import evaluation as evaluating
from mlstack.judgement import figures
from mlstack.judgement.evaluation import Evaluation, Judged, Miss
from mlstack.outbox import Outbox

PAGE = "index.html"


def write(config: Config, evaluation: Evaluation, checks: Sequence[Check], folder: Path) -> None:
    """Write the report into a folder, and give it to the candidate's run."""
    more = {
        "metric": config.judgement.metric,
        "passed": passed(checks),
        "gates": [check.to_dict() for check in checks],
    }
    evaluating.write(evaluation, folder, more)
    curves = _curves(config, evaluation.candidate.card.run_name)
    (folder / PAGE).write_text(_page(config, evaluation, checks, curves), encoding="utf-8")
    _track(config, evaluation, passed(checks), folder)


def _page(config: Config, evaluation: Evaluation, checks: Sequence[Check], curves: dict[str, figures.Curve]) -> str:
    """The page."""
    name, metric, good = evaluation.candidate.card.run_name, config.judgement.metric, passed(checks)
    others = [model for model in evaluation.models if model != "candidate"]
    learned = figures.learning(curves, metric)
    verdict = "passed the gates and may be registered" if good else "did not pass the gates and will not be registered"
    parts = {
        "tiles": "".join(_tile(model, judged, metric) for model, judged in evaluation.models.items()),
        "gates": page.table_of(checks, "gate."),
        "by_label": page.image(figures.by_label(evaluation), "F1 by label"),
        "labels": "".join(_label(evaluation, label) for label in evaluation.labels),
        "confusion": page.image(figures.confusion(evaluation.candidate, evaluation.labels), "confusion"),
        "calibration": page.image(figures.calibration(evaluation), "calibration"),
        "learning": page.image(learned, "learning curves") if learned else "MLflow knows no metrics of its training.",
        "lost": escape(_lost(evaluation)),
        "others": "".join(f"<th>{escape(model)}</th>" for model in others),
        "misses": "".join(_miss(miss, others) for miss in evaluation.misses),
    }
    body = Template(Path(__file__).with_name("report.html").read_text(encoding="utf-8")).substitute(parts)
    title = f"{config.model.name}: evaluation of {name}"
    about = f"{evaluation.texts:,} texts of the test split of {evaluation.data_folder}"
    return page.page(title, about, checks, f"{name} {verdict}.", body, _origin(config, evaluation))


def _tile(model: str, judged: Judged, metric: str) -> str:
    first, second = ("macro_f1", "accuracy") if metric == "macro_f1" else ("accuracy", "macro_f1")
    one, two = getattr(judged.scores, first), getattr(judged.scores, second)
    version = f", version {judged.number}" if judged.number else ""
    return (
        f'<div class="tile"><i style="background:{figures.COLOURS[model]}"></i>{model}'
        f"<b>{one.value:.4f}</b>"
        f"<small>{page.words(first)}, 95 % interval {one.low:.4f} to {one.high:.4f}</small>"
        f"<small>{page.words(second)} {two.value:.4f} ({two.low:.4f} to {two.high:.4f})</small>"
        f"<small>{escape(judged.card.run_name + version)}</small></div>"
    )


def _label(evaluation: Evaluation, label: str) -> str:
    ours = evaluation.candidate.scores.by_label[label]
    theirs = evaluation.models["baseline"].scores.by_label[label]
    numbers = [f"{ours.texts:,}", f"{ours.precision.value:.3f}", f"{ours.recall.value:.3f}"]
    numbers += [
        f"{one.value:.3f} <span class='soft'>[{one.low:.3f}, {one.high:.3f}]</span>" for one in (ours.f1, theirs.f1)
    ]
    return f"<tr><td>{escape(label)}</td>" + "".join(f'<td class="n">{one}</td>' for one in numbers) + "</tr>"


def _miss(miss: Miss, others: Sequence[str]) -> str:
    def said(label: str) -> str:
        return f'<span class="{"ok" if label == miss.label else "failed"}">{escape(label)}</span>'

    ours = f'{said(miss.said)} <span class="soft">{miss.probability:.2f}</span>'
    return page.row([escape(miss.text), escape(miss.label), ours, *(said(miss.others[model]) for model in others)])


def _lost(evaluation: Evaluation) -> str:
    confusion = evaluation.candidate.scores.confusion
    wrong = evaluation.texts - sum(row[number] for number, row in enumerate(confusion))
    if not wrong:
        return "Nowhere: it gets every text right."
    shown = f"; {len(evaluation.misses)} of them are below" if wrong > len(evaluation.misses) else ""
    return f"{wrong:,} of {evaluation.texts:,} texts are wrong{shown}, first what another model gets right."


def _origin(config: Config, evaluation: Evaluation) -> str:
    card = evaluation.candidate.card
    commit = f", commit {card.git_commit}" if card.git_commit else ""
    return (
        f"Run {card.run_name}{commit}; data {evaluation.data_folder}, version {evaluation.data_md5}; intervals from "
        f"{config.judgement.resamples:,} bootstrap resamples, too narrow for a label with few texts and no fault"
    )


def _curves(config: Config, run_name: str) -> dict[str, figures.Curve]:
    """What MLflow knows of a run's training."""
    names = ("loss", "validation.loss", f"validation.{config.judgement.metric}")
    with registry.told() as client:
        try:
            run_id = tracking.run_id(config, run_name)
        except UsageError:  # it was made elsewhere
            return {}
        return {name: [(one.step, one.value) for one in client.get_metric_history(run_id, name)] for name in names}


def _track(config: Config, evaluation: Evaluation, good: bool, folder: Path) -> None:
    """Give the report to the candidate's run, by way of its outbox; the run itself ended long ago and stays so."""
    card, scores = evaluation.candidate.card, evaluation.candidate.scores
    kept = runs.folder(config, card.run_name) / "evaluation"  # the next evaluation may come before MLflow is back
    shutil.copytree(folder, kept, dirs_exist_ok=True)
    outbox = Outbox(kept.with_name("outbox"))
    outbox.begin(config.model.name, card.run_name)
    metrics = {"test.accuracy": scores.accuracy.value, "test.macro_f1": scores.macro_f1.value}
    outbox.add({"metrics": metrics, "step": 0})
    outbox.add({"tags": {"mlstack.gates": "passed" if good else "failed"}})
    outbox.add({"artifact": str(kept.resolve()), "folder": "evaluation"})
    tracking.flush(config)
