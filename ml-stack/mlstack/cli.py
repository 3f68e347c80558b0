"""The command `mlstack`: one module a verb, in verbs/."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from mlstack.errors import MlstackError

VERBS = (
    "doctor",
    "data",
    "validate",
    "baseline",
    "train",
    "tune",
    "evaluate",
    "register",
    "promote",
    "rollback",
    "deploy",
    "batch",
    "lineage",
    "submit",
    "logs",
)
"""In the order in which people meet them; verbs/__init__.py says what each module has."""
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; the exit status is 0, 1 (something failed), 2 (it was asked for wrongly) or 130 (interrupted)."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was begun is ended in order
    try:
        return _run(options)
    except MlstackError as error:
        _say_error(error, as_json=options.json)
        return error.exit_status
    except KeyboardInterrupt:
        print("\nInterrupted; run the same command again, and it goes on.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `mlstack … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    about = "Trains, judges and serves models: on this machine, or on the cluster; params.yaml says which."
    top = argparse.ArgumentParser(prog="mlstack", description=about)
    verbs = top.add_subparsers(required=True, metavar="VERB")
    for name in VERBS:
        module = _module(name)
        verb = verbs.add_parser(
            name,
            help=module.HELP,
            description=f"{module.HELP[0].upper()}{module.HELP[1:]}.",
            epilog=f"example:\n  {module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.set_defaults(verb=name)
        module.add_arguments(verb)
        verb.add_argument(
            "--params", type=Path, default=Path("params.yaml"), metavar="FILE", help="default: %(default)s"
        )
        verb.add_argument(
            "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="over params.yaml; may be repeated"
        )
        verb.add_argument("--json", action="store_true", help="print the result as JSON")
    return top


def _run(options: argparse.Namespace) -> int:
    from mlstack import config  # pydantic takes a while, and --help needs none of it

    # What Ray tells of its workers goes to standard output: beside JSON it would be no JSON any more.
    with contextlib.redirect_stdout(sys.stderr if options.json else sys.stdout):
        result = _module(options.verb).run(options, config.read(options.params, options.set))
    print(result.to_json() if options.json else result.to_text())
    return 0 if result.ok else 1


def _module(verb: str) -> ModuleType:
    return importlib.import_module(f"mlstack.verbs.{verb}")


def _say_error(error: MlstackError, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"ok": False, "checks": [], "error": error.message, "remedy": error.remedy}, indent=2))
    else:
        print(f"error: {error.message}\nremedy: {error.remedy}", file=sys.stderr)
