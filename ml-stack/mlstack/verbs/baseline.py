"""`mlstack baseline`: the model that a candidate has to beat."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlstack.config import Config
from mlstack.result import Result

HELP = "train the baseline (TF-IDF and a linear model) that a candidate has to beat"
EXAMPLE = "mlstack baseline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("--out", type=Path, default=Path("models/baseline"), metavar="DIR", help="default: %(default)s")


def run(options: argparse.Namespace, config: Config) -> Result:
    """Train the baseline, and say what came of it."""
    from mlstack import platform
    from mlstack.judgement import baseline
    from mlstack.verbs import train

    platform.connect(config)
    return train.told(baseline.train(config, options.out), options.out)
