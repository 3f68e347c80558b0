"""`mlstack promote`: a version that passed the gates becomes the champion."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from mlstack.config import Config
from mlstack.result import Result

HELP = "make a registered version the champion, which is what is served"
EXAMPLE = "mlstack promote && mlstack deploy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument(
        "version", nargs="?", default="challenger", help="a number, an alias or a run name; default: %(default)s"
    )
    parser.add_argument(
        "--force", action="store_true", help="though the gates were not passed, or against another champion"
    )


def run(options: argparse.Namespace, config: Config) -> Result:
    """Promote, and say what was the champion before."""
    from mlstack import platform, registry

    platform.connect(config)
    before = registry.champion(config)
    found = registry.promote_judged(config, registry.version(config, options.version), force=options.force)
    was = f"; {before} was it before, mlstack rollback returns to it" if before and before != found else ""
    data = {"champion": asdict(found), "previous": before and asdict(before)}
    return Result(f"{found} is the champion{was}. mlstack deploy serves it.", data)
