"""`mlstack tune`: search for better parameters."""

from __future__ import annotations

import argparse
from pathlib import Path

from mlstack.config import Config
from mlstack.result import Result

HELP = "search tune.space for better parameters; bad trials are stopped early, a stopped search goes on"
EXAMPLE = "mlstack tune --set tune.trials=8"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument(
        "--out", type=Path, default=Path("models/candidate"), metavar="DIR", help="the best model; default: %(default)s"
    )


def run(options: argparse.Namespace, config: Config) -> Result:
    """Search, put the best trial's model where candidates are, and say what to write into params.yaml."""
    from mlstack import config as schema
    from mlstack import platform
    from mlstack.training import running, tuning

    platform.connect(config)
    tuned = tuning.tune(config)
    best = tuned.trials[0]
    running.train(schema.with_settings(config, best.settings), options.out)
    settings = " ".join(f"--set {path}={value}" for path, value in best.settings.items())
    lines = [f"{tuned.run_name}, by {tuned.metric}, the best first:", *map(tuning.told, tuned.trials)]
    text = "\n".join([*lines, f"The best model is in {options.out}; mlstack train {settings} makes it."])
    trials = [vars(trial) for trial in tuned.trials]
    return Result(text, {"run_name": tuned.run_name, "metric": tuned.metric, "fresh": tuned.fresh, "trials": trials})
