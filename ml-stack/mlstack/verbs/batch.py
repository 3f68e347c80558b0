"""`mlstack batch`: predict whole files."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from mlstack.config import Config
from mlstack.result import Result

HELP = "predict every text of a file or a folder; a stopped batch goes on"
EXAMPLE = "mlstack batch data/reuters-r8/test.jsonl --out predictions"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("source", type=Path, metavar="FILE", help=".jsonl or .parquet, or a folder of these")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets a part of Parquet for each chunk")
    parser.add_argument("--model", default="", metavar="VERSION", help="a number, alias or run name; default: champion")


def run(options: argparse.Namespace, config: Config) -> Result:
    """Predict, and say how much."""
    from mlstack import platform
    from mlstack.serving import batch

    platform.connect(config)
    done = batch.predict(config, options.source, options.out, options.model)
    kept = f", and {done.kept:,} were before" if done.kept else ""
    data = {"rows": done.rows, "kept": done.kept, "out": str(options.out), "version": asdict(done.version)}
    return Result(f"{done.rows:,} texts predicted by {done.version}{kept}; the parts are in {options.out}.", data)
