"""The command `groundwork`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from groundwork import report, text
from groundwork.errors import UsageError
from groundwork.paths import ARTIFACTS
from groundwork.running import run

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; the exit status is 0, 1 (something failed), 2 (it was asked for wrongly) or 130 (interrupted)."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else it would leave ansible-playbook running
    try:
        done: bool = options.run(options)
    except UsageError as error:
        _say_error(error, as_json=options.json)
        return WRONG_USAGE
    except KeyboardInterrupt:
        print("\nInterrupted; run the same command again, and it goes on.", file=sys.stderr)
        return INTERRUPTED
    return 0 if done else FAILED


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    about = "Runs the playbooks of Groundwork, follows them, and says what failed with its remedy."
    top = argparse.ArgumentParser(prog="groundwork", description=about)
    verbs = top.add_subparsers(required=True, metavar="VERB")
    for name, (work, help_text, add_arguments, example) in VERBS.items():
        verb = verbs.add_parser(
            name,
            help=help_text,
            description=f"{help_text[0].upper()}{help_text[1:]}.",
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.set_defaults(run=work)
        add_arguments(verb)
        verb.add_argument("--json", action="store_true", help="print the result as JSON")
    return top


def _run_arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("playbook", nargs="?", default="site.yml", help="default: %(default)s")
    _common_arguments(verb)


def _verify_arguments(verb: argparse.ArgumentParser) -> None:
    verb.set_defaults(playbook="playbooks/verify.yml")
    _common_arguments(verb)


def _common_arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("-i", "--inventory", action="append", required=True, metavar="PATH", help="may be repeated")
    verb.add_argument("-l", "--limit", default="", metavar="HOSTS", help="only these hosts or groups")
    verb.add_argument("--check", action="store_true", help="change nothing, say what would be changed")
    verb.add_argument("--diff", action="store_true", help="show what changes change")
    help_text = "a YAML or JSON file of variables that win over all others; the place for secrets"
    verb.add_argument("--vars", type=Path, metavar="FILE", help=help_text)
    verb.add_argument("--keep", type=Path, metavar="DIR", help="keep ansible-runner's output and events below DIR")


def _report_arguments(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("cluster", nargs="?", default="", help="default: the one that was reported on last")
    verb.add_argument("--artifacts", type=Path, default=ARTIFACTS, metavar="DIR", help="default: %(default)s")


def _run(options: argparse.Namespace) -> bool:
    found = run(
        options.playbook,
        options.inventory,
        extra_vars=_variables(options.vars),
        check=options.check,
        diff=options.diff,
        limit=options.limit,
        on_event=text.follow,
        artifacts=options.keep,
    )
    _print(options, found.to_dict(), text.result(found))
    return found.ok


def _report(options: argparse.Namespace) -> bool:
    found = report.newest(options.artifacts, options.cluster)
    _print(options, found.to_dict(), text.report(found))
    return found.ok


def _variables(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "Name a file with variables.") from None
    except yaml.YAMLError:  # its message would show the line
        raise UsageError(f"{path} is no YAML", "Write `name: value`, a line each.") from None
    if not isinstance(found, dict):
        raise UsageError(f"{path} holds no variables", "Write `name: value`, a line each.")
    return found


def _print(options: argparse.Namespace, data: dict[str, Any], words: str) -> None:
    print(json.dumps(data, indent=2) if options.json else words)


def _say_error(error: UsageError, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"ok": False, "error": error.message, "remedy": error.remedy}, indent=2))
    else:
        print(f"error: {error.message}\nremedy: {error.remedy}", file=sys.stderr)


_Verb = tuple[Callable[[argparse.Namespace], bool], str, Callable[[argparse.ArgumentParser], None], str]
VERBS: dict[str, _Verb] = {
    "run": (
        _run,
        "run site.yml, or the playbook that is named",
        _run_arguments,
        "groundwork run -i inventories/mine --check --diff",
    ),
    "verify": (
        _run,
        "prove the site again, and write a new report",
        _verify_arguments,
        "groundwork verify -i inventories/mine --json",
    ),
    "report": (_report, "show the last report", _report_arguments, "groundwork report mine --json"),
}
