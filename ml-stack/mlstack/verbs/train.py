"""`mlstack train`: train what params.yaml says."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mlstack.config import Config
from mlstack.result import Result

if TYPE_CHECKING:
    from mlstack.training.running import Trained

HELP = "train what params.yaml says, unless that was done already; a stopped training goes on"
EXAMPLE = "mlstack train --set training.epochs=1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument(
        "--out", type=Path, default=Path("models/candidate"), metavar="DIR", help="default: %(default)s"
    )


def run(options: argparse.Namespace, config: Config) -> Result:
    """Train, and say what came of it."""
    from mlstack import platform
    from mlstack.training import running

    platform.connect(config)
    return told(running.train(config, options.out), options.out)


def told(trained: Trained, out: Path) -> Result:
    """What came of a finished run, whose model is in `out`."""
    metrics = ", ".join(f"{name.removeprefix('validation.')} {value:.4f}" for name, value in trained.metrics.items())
    word = f"trained in {trained.seconds:.0f} s" if trained.fresh else "finished before, not trained again"
    data = {
        "run_name": trained.run_name,
        "fresh": trained.fresh,
        "seconds": trained.seconds,
        "metrics": dict(trained.metrics),
    }
    return Result(f"{trained.run_name}: {word}; on the validation split: {metrics}\nThe model is in {out}.", data)
