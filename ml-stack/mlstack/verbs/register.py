"""`mlstack register`: a candidate that passed the gates becomes a version."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from mlstack.config import Config
from mlstack.result import Result

HELP = "make a candidate that passed the gates a version, and the baseline the first champion"
EXAMPLE = "mlstack register && mlstack promote"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    for name, folder in (
        ("candidate", "models/candidate"),
        ("baseline", "models/baseline"),
        ("report", "reports/evaluation"),
    ):
        parser.add_argument(f"--{name}", type=Path, default=Path(folder), metavar="DIR", help="default: %(default)s")


def run(options: argparse.Namespace, config: Config) -> Result:
    """Register, and say what is served and what may be."""
    from mlstack import platform
    from mlstack.judgement import registering

    platform.connect(config)
    found = registering.register(config, options.candidate, options.baseline, options.report)
    data = {
        "registered": found.challenger is not None,
        "reason": found.reason,
        "challenger": found.challenger and asdict(found.challenger),
        "champion": asdict(found.champion),
    }
    if found.challenger is None:
        return Result(f"Not registered: {found.reason}. {found.champion} stays the champion.", data)
    return Result(f"{found.challenger} is registered; mlstack promote makes it the champion.", data)
