"""`mlstack submit`: run a verb as a job, which goes on when nobody watches."""

from __future__ import annotations

import argparse

from mlstack.config import Config
from mlstack.errors import UsageError
from mlstack.jobs.places import WHERE
from mlstack.jobs.record import Where
from mlstack.result import Result

HELP = "run a verb as a job: here, on the platform's Ray, or on a cluster of its own; mlstack logs follows it"
EXAMPLE = "mlstack submit --to rayjob train --set training.epochs=1"
STAY = ("submit", "logs", "deploy")
"""Verbs that are no jobs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("--to", choices=WHERE, help="default: local where platform.kind is embedded, else rayjob")
    parser.add_argument("--print", action="store_true", help="print the RayJob's manifest, and submit nothing")
    parser.add_argument("--follow", action="store_true", help="watch it; Ctrl-C ends the watching, not the job")
    parser.add_argument("--stop", metavar="JOB", help="end a job instead")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="VERB …", help="the verb and its options")


def run(options: argparse.Namespace, config: Config) -> Result:
    """Submit, print or stop."""
    from mlstack.jobs import places, record

    if options.stop:
        return _stop(config, options.stop)
    words = _checked(options.words)
    where: Where = options.to or ("local" if config.platform.kind == "embedded" else "rayjob")
    if options.print:
        return _manifest(config, words)
    place = places.make(config, where)
    made = record.submit(config, where, words, place)
    if options.follow:
        from mlstack.verbs import logs

        return logs.follow(config, made.name, as_json=options.json)
    return Result(f"job {made.name} runs; mlstack logs {made.name} follows it.", {"job": made.name, "where": where})


def _checked(words: list[str]) -> tuple[str, ...]:
    """Words that some verb takes: a job is not begun for a spelling error."""
    from mlstack import cli

    words = words[1:] if words[:1] == ["--"] else words
    if not words or words[0] in STAY or words[0] not in cli.VERBS:
        known = ", ".join(verb for verb in cli.VERBS if verb not in STAY)
        raise UsageError(f"{words[0] if words else 'nothing'} is no job", f"Say what to run: one of {known}.")
    cli.parser().parse_args(words)
    if any(word.startswith("--params") for word in words):
        raise UsageError("a job's parameters are those of `submit`", "Write --params before the verb.")
    return tuple(words)


def _manifest(config: Config, words: tuple[str, ...]) -> Result:
    import yaml

    from mlstack.jobs import rayjob

    documents = rayjob.manifest(config, f"mlstack-{words[0]}", words)
    return Result(yaml.safe_dump_all(documents, sort_keys=False), {"documents": documents})


def _stop(config: Config, name: str) -> Result:
    from mlstack.jobs import places, record

    found, folder = record.find(config, name)
    places.make(config, found.where).stop(found, folder)
    return Result(f"job {name} was told to end.", {"job": name})
