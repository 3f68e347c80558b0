"""`mlstack deploy`: serve the champion."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from mlstack.config import Config
from mlstack.result import Result

HELP = "serve the champion by HTTP, and whichever version is champion later"
EXAMPLE = 'mlstack deploy && curl -s localhost:8000/predict -d \'{"texts": ["wheat exports rose"]}\''


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("--stop", action="store_true", help="serve no longer")


def run(options: argparse.Namespace, config: Config) -> Result:
    """Serve, and say what is served where."""
    from mlstack import platform
    from mlstack.serving import deploy

    if options.stop:
        stopped = deploy.stop(config)
        return Result("Stopped." if stopped else "Nothing was served.", {"stopped": stopped})
    platform.connect(config)
    served = deploy.deploy(config)
    word = "" if served.fresh else "already "
    text = (
        f"{served.version} is {word}served at {served.url}: POST /predict, GET /health, /model, /metrics, /openapi.json"
    )
    return Result(text, {"url": served.url, "fresh": served.fresh, "version": asdict(served.version)})
