"""`mlstack rollback`: the champion before this one is the champion again."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from mlstack.config import Config
from mlstack.result import Result

HELP = "make the previous champion the champion again; once more undoes it"
EXAMPLE = "mlstack rollback && mlstack deploy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes: nothing."""


def run(options: argparse.Namespace, config: Config) -> Result:
    """Roll back, and say to what."""
    from mlstack import platform, registry

    platform.connect(config)
    found = registry.rollback(config)
    return Result(f"{found} is the champion again; mlstack deploy serves it.", {"champion": asdict(found)})
