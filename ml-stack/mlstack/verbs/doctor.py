"""`mlstack doctor`: can mlstack work here."""

from __future__ import annotations

import argparse

from mlstack.config import Config
from mlstack.result import Result

HELP = "check what the other verbs need: packages, git, data, checkpoint, disk, GPU, MLflow and the DVC remote"
EXAMPLE = "mlstack doctor"


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Takes nothing of its own."""


def run(_options: argparse.Namespace, config: Config) -> Result:
    """Check everything."""
    from mlstack import doctor

    return Result(checks=list(doctor.checks(config)))
