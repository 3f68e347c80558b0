"""`mlstack data`: the data set's content and versions."""

from __future__ import annotations

import argparse

from mlstack.check import Check
from mlstack.config import Config
from mlstack.errors import UsageError
from mlstack.result import Result

HELP = "add, pull or verify the data set that params.yaml names, versioned by DVC"
EXAMPLE = "mlstack data add reuters-r8"
WHAT = """add     pack a source into data.folder, make it a version, and push it where there is a remote; a source is
        reuters-r8, reuters-r52, 20-newsgroups, or a folder with train and test
pull    make data.folder hold the version that git names; an object that is not what its name says is refused
verify  read every byte, and compare with the version that git names
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("what", choices=("add", "pull", "verify"), help="see below")
    parser.add_argument("source", nargs="?", metavar="SOURCE", help="of add: a public set's name, or a folder")
    parser.add_argument("--remote", action="store_true", help="of verify: read the remote's objects as well")
    parser.epilog = f"{WHAT}\n{parser.epilog}"


def run(options: argparse.Namespace, config: Config) -> Result:
    """Do what was asked for."""
    from mlstack import platform

    if (options.source is not None) != (options.what == "add"):
        fault = "SOURCE is missing" if options.what == "add" else f"takes no SOURCE, and was given {options.source}"
        raise UsageError(f"data {options.what}: {fault}", f"As in: {EXAMPLE}")
    platform.connect(config)
    if options.what == "add":
        return _add(options.source, config)
    return _pull(config) if options.what == "pull" else _verify(config, remote=options.remote)


def _add(source: str, config: Config) -> Result:
    from mlstack.data import sources, store

    added = sources.add(config.data, source)
    version = store.add(config.data)
    counts = ", ".join(f"{split} {count:,}" for split, count in added.rows.items())
    dropped = f"\nLeft out: {added.dropped} texts of train that another split has too." if added.dropped else ""
    text = f"{config.data.folder} holds {counts} rows, as version {version}.{dropped}\n"
    text += f"Keep {config.data.folder}.dvc in git: it names the version."
    return Result(text, {"version": version, "rows": dict(added.rows), "dropped": added.dropped})


def _pull(config: Config) -> Result:
    from mlstack.data import store

    version = store.pull(config.data)
    return Result(f"{config.data.folder} holds version {version}.", {"version": version})


def _verify(config: Config, *, remote: bool) -> Result:
    from mlstack.data import store

    wanted, found = store.version(config.data), store.content(config.data.folder)
    same = Check(
        "data.is_the_version", "ok" if found == wanted else "failed", found, wanted,
        "Take it again by `mlstack data pull`, or make what is there a version by `dvc add`.",
    )  # fmt: skip
    if not remote:
        return Result("", {"version": wanted}, [same])
    store.verify_remote(config.data)
    return Result("", {"version": wanted}, [same, Check("data.remote_is_sound", "ok", "every object is what it says")])
