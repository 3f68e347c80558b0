"""The figures of a report, each as SVG. Matplotlib's objects alone, no pyplot: nothing is global."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlstack.judgement.evaluation import Evaluation, Judged

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"candidate": "#2563eb", "baseline": "#6b7280", "champion": "#b45309"}
FAINT = "#d4d4d8"
INK = "#27272a"
MOST_NUMBERS = 30
"""More labels than this, and the numbers in a confusion's cells could not be read."""
Curve = Sequence[tuple[int, float]]


def by_label(evaluation: Evaluation) -> str:
    """F1 of each label with its interval, a row a label, those the candidate is worst at on top."""
    scores = evaluation.candidate.scores.by_label
    labels = sorted(scores, key=lambda label: -scores[label].f1.value)
    figure, (axes,) = _figure(8.6, 0.8 + 0.42 * len(labels))
    step = 0.5 / len(evaluation.models)
    for number, (model, judged) in enumerate(evaluation.models.items()):
        found = [judged.scores.by_label[label].f1 for label in labels]
        rows = np.arange(len(labels)) - (number - (len(evaluation.models) - 1) / 2) * step
        colour = COLOURS[model]
        axes.hlines(rows, [one.low for one in found], [one.high for one in found], color=colour, alpha=0.45, lw=2.5)
        axes.plot([one.value for one in found], rows, "o", color=colour, ms=5, label=model)
    axes.set_yticks(range(len(labels)), [f"{label}  ({scores[label].texts})" for label in labels])
    axes.set_xlabel("F1 and its 95 % interval; in brackets: texts of the test split")
    axes.grid(axis="x", color=FAINT, lw=0.6)
    axes.set_xlim(right=1.01)
    _legend(axes, len(evaluation.models))
    return _svg(figure)


def confusion(judged: Judged, labels: Sequence[str]) -> str:
    """Where texts of each label went, coloured by the share of the label."""
    counts = np.array(judged.scores.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 1.8 + 0.42 * len(labels)
    figure, (axes,) = _figure(size, size)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(labels) <= MOST_NUMBERS:
        for row, column in zip(*np.nonzero(counts), strict=True):
            ink = "white" if shares[row, column] > 0.5 else INK
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=ink, fontsize=8)
    return _svg(figure)


def calibration(evaluation: Evaluation) -> str:
    """How often each model is right when it is so sure, and how often it is so sure."""
    figure, (curves, bars) = _figure(5.2, 5.2, heights=(3, 1))
    curves.plot([0, 1], [0, 1], color=FAINT, lw=1, zorder=0)
    for model, judged in evaluation.models.items():
        found = judged.scores.calibration
        confidence = [one.confidence for one in found]
        name = f"{model} (error {judged.scores.calibration_error:.3f})"
        curves.plot(confidence, [one.accuracy for one in found], "o-", color=COLOURS[model], ms=4, lw=1.5, label=name)
        texts = [one.texts for one in found]
        bars.plot(confidence, texts, "o-", color=COLOURS[model], ms=3, lw=1)
    curves.set_ylabel("share that is right")
    curves.set_xlim(0, 1.02)
    curves.set_ylim(0, 1.02)
    bars.set_xlim(0, 1.02)
    bars.set_yscale("log")
    bars.set_ylabel("texts")
    bars.set_xlabel("how sure the model is")
    curves.legend(frameon=False, loc="upper left")
    return _svg(figure)


def learning(curves: Mapping[str, Curve], metric: str) -> str:
    """Loss and the metric over the steps of the training; "" where MLflow knows of none."""
    if not curves.get("loss"):
        return ""
    figure, (loss, score) = _figure(8.6, 3.2, columns=2)
    for name, style, text in (("loss", "-", "training"), ("validation.loss", "o-", "validation")):
        colour = COLOURS["baseline" if name == "loss" else "candidate"]
        loss.plot(*_points(curves.get(name, ())), style, color=colour, ms=4, lw=1.4, label=text)
    score.plot(*_points(curves.get(f"validation.{metric}", ())), "o-", color=COLOURS["candidate"], ms=4, lw=1.4)
    loss.set_ylabel("loss")
    score.set_ylabel(f"{metric.replace('_', ' ')} on the validation split")
    for axes in (loss, score):
        axes.set_xlabel("step")
        axes.grid(color=FAINT, lw=0.6)
    loss.set_ylim(bottom=0)
    loss.legend(frameon=False)
    return _svg(figure)


def _points(curve: Curve) -> tuple[list[int], list[float]]:
    ordered = sorted(curve)
    return [step for step, _ in ordered], [value for _, value in ordered]


def _figure(
    width: float, height: float, *, columns: int = 1, heights: Sequence[float] = (1,)
) -> tuple[Figure, Sequence[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure((width, height), layout="constrained")
    grid: Any = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
    found = list(grid.flat)
    for axes in found:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(FAINT)
        axes.tick_params(colors=INK, length=0, labelsize=9)
    return figure, found


def _legend(axes: Axes, columns: int) -> None:
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=columns)


def _svg(figure: Figure) -> str:
    import matplotlib as mpl

    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "mlstack"}):  # equal figures are equal bytes
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    return text.getvalue()
