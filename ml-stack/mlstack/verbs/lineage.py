"""`mlstack lineage`: from an answer to data and code, and back."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from mlstack.config import Config
from mlstack.result import Result

HELP = "show what a version, a run or a served answer came from, or what came of data or of a commit"
EXAMPLE = """mlstack lineage champion
  mlstack lineage "$(curl -s localhost:8000/predict --json '{"texts": ["wheat"]}')\""""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument(
        "of",
        help="a version's number or alias, a run's name, a commit, a data set's md5, or a served answer's JSON",
    )


def run(options: argparse.Namespace, config: Config) -> Result:
    """Show it as a tree."""
    from mlstack import lineage, platform

    platform.connect(config)
    found = lineage.trace(config, options.of)
    return Result(lineage.as_text(found), {"of": options.of, "runs": [asdict(one) for one in found]})
