"""`mlstack logs`: what a job says, and how it ended."""

from __future__ import annotations

import argparse
import sys

from mlstack.config import Config
from mlstack.result import Result

HELP = "follow a job until it ends; Ctrl-C ends the watching, not the job"
EXAMPLE = "mlstack logs train-1130-081502-3f1c"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("job", nargs="?", default="", metavar="JOB", help="default: the newest one")


def run(options: argparse.Namespace, config: Config) -> Result:
    """Follow it."""
    return follow(config, options.job, as_json=options.json)


def follow(config: Config, name: str, *, as_json: bool) -> Result:
    """Follow a job; the exit status is 1 where it came to nothing."""
    from mlstack.jobs import places, record

    found, folder = record.find(config, name)
    stream = sys.stderr if as_json else sys.stdout  # standard output is for the result alone

    def tell(text: str) -> None:
        stream.write(text)
        stream.flush()

    state = record.watch(places.make(config, found.where), found, folder, tell)
    if state is None:
        return Result(
            f"\njob {found.name} goes on; mlstack logs {found.name} follows it again.",
            {"job": found.name, "state": "running"},
        )
    return Result(
        f"job {found.name}: {state}.", {"job": found.name, "state": state}, failed=state in ("failed", "stopped")
    )
