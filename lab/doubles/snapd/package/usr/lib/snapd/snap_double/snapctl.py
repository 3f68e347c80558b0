"""The command `snapctl`: how a snap's own programs and hooks ask snapd."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from . import changes, services, state
from .cli import _shown
from .errors import SnapError


def main(arguments: Sequence[str]) -> int:
    """Run `snapctl ARGUMENTS`; return the exit status."""
    try:
        verb, *words = arguments
        _act(verb, words)
    except SnapError as error:
        print(f"error: error running snapctl: {error}", file=sys.stderr)
        return error.status
    return 0


def _act(verb: str, words: list[str]) -> None:
    names = [word for word in words if not word.startswith("--")]
    if verb in services.VERBS:
        with changes.change("service-control", names[0].partition(".")[0], changes.PATIENCE_SECONDS):
            services.control(verb, names, switch=bool({"--enable", "--disable"} & set(words)))
    elif verb == "services":
        print(services.show(names), end="")
    elif verb == "get":
        print(_shown(state.get(os.environ["SNAP_NAME"]).config.get(names[0], "")))
    elif verb != "set-health":
        raise SnapError(f'unknown command "{verb}"')
