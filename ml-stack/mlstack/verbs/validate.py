"""`mlstack validate`: is the data fit to be learned from."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlstack.config import Config
from mlstack.result import Result

HELP = "judge the data set (schema, missing values, labels, duplicates, leakage between splits), and write a report"
EXAMPLE = "mlstack validate --report reports/validation"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument(
        "--report", type=Path, default=Path("reports/validation"), metavar="DIR", help="default: %(default)s"
    )


def run(options: argparse.Namespace, config: Config) -> Result:
    """Judge, write the report, and fail where a check failed."""
    from mlstack.data import report, store, validation

    version = store.version(config.data)
    found = validation.validate(config)
    report.write(config, found, version, options.report)
    return Result(
        f"The report is {options.report}/index.html.", {"version": version, "labels": found.labels}, found.checks
    )
