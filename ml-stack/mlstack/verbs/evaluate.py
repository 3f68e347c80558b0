"""`mlstack evaluate`: the candidate beside the baseline and the champion."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlstack.config import Config
from mlstack.result import Result

HELP = "judge the candidate beside the baseline and the champion, and write the report"
EXAMPLE = "mlstack evaluate && xdg-open reports/evaluation/index.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    for name, folder in (
        ("candidate", "models/candidate"),
        ("baseline", "models/baseline"),
        ("out", "reports/evaluation"),
    ):
        parser.add_argument(f"--{name}", type=Path, default=Path(folder), metavar="DIR", help="default: %(default)s")


def run(options: argparse.Namespace, config: Config) -> Result:
    """Evaluate, write the report, and say whether the gates are passed; that they are not is no failure of ours."""
    from mlstack import platform
    from mlstack.check import as_text, passed
    from mlstack.judgement import evaluation, gates, report

    platform.connect(config)
    found = evaluation.evaluate(config, options.candidate, options.baseline)
    checks = gates.judge(found, config.judgement)
    report.write(config, found, checks, options.out)
    lines = [
        f"{model:9} {judged.card.run_name}: macro F1 {judged.scores.macro_f1}, accuracy {judged.scores.accuracy}"
        for model, judged in found.models.items()
    ]
    verdict = "passed the gates" if passed(checks) else "did not pass the gates"
    end = f"{found.candidate.card.run_name} {verdict}. The report: {options.out / report.PAGE}"
    data = {
        "passed": passed(checks),
        "gates": [check.to_dict() for check in checks],
        "report": str(options.out),
        "models": {
            model: {
                "run_name": judged.card.run_name,
                "accuracy": judged.scores.accuracy.value,
                "macro_f1": judged.scores.macro_f1.value,
            }
            for model, judged in found.models.items()
        },
    }
    return Result("\n".join([*lines, as_text(checks), end]), data)
