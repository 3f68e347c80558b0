"""The command `snap`."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from . import assertions, changes, hooks, layout, operations, services, state, store, tables, units
from .errors import USAGE, NothingToDoError, SnapError
from .system import state_of

VERSION = "2.73"
PATH_WARNING = """Warning: {bin} was not found in your $PATH. If you've not restarted your session
         since you installed snapd, try doing that. Please see https://forum.snapcraft.io/t/9469
         for more details.
"""
UTC = datetime.timezone.utc


class Parser(argparse.ArgumentParser):
    """An argument parser that fails in snapd's way."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage."""
        raise SnapError(message, USAGE)


def main(program: str, arguments: Sequence[str]) -> int:
    """Run `snap ARGUMENTS`, or an app that /snap/bin/PROGRAM names; return the exit status."""
    try:
        if Path(program).name != "snap":
            hooks.run_app(Path(program).name, arguments)
        return _run(arguments)
    except NothingToDoError as nothing:
        print(nothing, file=sys.stderr)
        return 0
    except SnapError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status


def _run(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["run"]:  # its words after the app's name are the app's own
        hooks.run_app(arguments[1], arguments[2:])
    # a time belongs to --hold only behind an equals sign, which argparse cannot be told
    words = [f"--hold={state.FOREVER}" if word == "--hold" else word for word in arguments]
    chosen = _parser().parse_args(words)
    if chosen.verb != "version":
        _ask_server()
    if chosen.changes and os.geteuid() != 0:
        raise SnapError("access denied (try with sudo)")
    chosen.act(chosen)
    return 0


def _ask_server() -> None:
    """Snapd does the work; without it no verb gets an answer."""
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(str(layout.SOCKET))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        url = "http://localhost/v2/snaps"
        raise SnapError(
            f'cannot communicate with server: Get "{url}": dial unix {layout.SOCKET}: connect: {why}'
        ) from None


# --- the words of each verb -------------------------------------------------------------------------------------------


def _parser() -> Parser:
    parser = Parser(prog="snap", add_help=False)
    verbs = parser.add_subparsers(dest="verb", required=True, parser_class=Parser)
    for name, act, changing, describe in VERBS:
        verb = verbs.add_parser(name, add_help=False)
        verb.set_defaults(act=act, changes=changing)
        describe(verb)
    return parser


def _nothing(verb: Parser) -> None:
    """A verb without words."""


def _names(verb: Parser) -> None:
    verb.add_argument("names", nargs="*")


def _name(verb: Parser) -> None:
    verb.add_argument("name")


def _install_words(verb: Parser) -> None:
    verb.add_argument("names", nargs="+")
    verb.add_argument("--channel", default="")
    verb.add_argument("--classic", action="store_true")
    verb.add_argument("--dangerous", action="store_true")
    verb.add_argument("--hold", default="")


def _refresh_words(verb: Parser) -> None:
    verb.add_argument("names", nargs="*")
    verb.add_argument("--channel", default="")
    verb.add_argument("--classic", action="store_true")
    verb.add_argument("--hold", default="")
    verb.add_argument("--unhold", action="store_true")


def _switch_words(verb: Parser) -> None:
    verb.add_argument("name")
    verb.add_argument("--channel", required=True)


def _remove_words(verb: Parser) -> None:
    verb.add_argument("names", nargs="+")
    verb.add_argument("--purge", action="store_true")


def _service_words(verb: Parser) -> None:
    verb.add_argument("names", nargs="+")
    verb.add_argument("--enable", "--disable", dest="switch", action="store_true")


def _set_words(verb: Parser) -> None:
    verb.add_argument("name")
    verb.add_argument("values", nargs="+")


def _get_words(verb: Parser) -> None:
    verb.add_argument("-d", dest="document", action="store_true")
    verb.add_argument("name")
    verb.add_argument("keys", nargs="*")


def _wait_words(verb: Parser) -> None:
    verb.add_argument("name")
    verb.add_argument("key")


# --- what each verb does ----------------------------------------------------------------------------------------------


def version(_: argparse.Namespace) -> None:
    """Show versions."""
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    system, number = (release.get(key, "-").strip('"') for key in ("ID", "VERSION_ID"))
    rows = [("snap", VERSION), ("snapd", VERSION), ("series", "16"), (system, number), ("kernel", os.uname().release)]
    print(tables.table([*rows, ("architecture", "amd64")]), end="")


def list_snaps(chosen: argparse.Namespace) -> None:
    """Show installed snaps."""
    snaps = [snap for name, snap in state.installed().items() if not chosen.names or name in chosen.names]
    if not snaps and chosen.names:
        raise SnapError("no matching snaps installed")
    if not snaps:
        raise NothingToDoError("No snaps are installed yet. Try 'snap install hello-world'.")
    head = ("Name", "Version", "Rev", "Tracking", "Publisher", "Notes")
    rows = [(s.name, s.version, s.revision, s.channel or "-", s.publisher, _notes(s)) for s in snaps]
    print(tables.table([head, *rows]), end="")


def _notes(snap: state.Snap) -> str:
    notes = [snap.type] if snap.type != "app" else []
    notes += ["classic"] if snap.confinement == "classic" else []
    notes += ["held"] if snap.hold else []
    return ",".join(notes) or "-"


def install(chosen: argparse.Namespace) -> None:
    """Install snaps."""
    for name in chosen.names:
        with changes.change("install-snap", Path(name).name.removesuffix(".snap").partition("_")[0]):
            snap = operations.install(name, chosen.channel, chosen.classic, chosen.dangerous)
            if chosen.hold:
                snap = state.change(snap.name, hold=_until(chosen.hold))
        if str(layout.BIN) not in os.environ.get("PATH", "").split(":") and snap.apps:
            print(PATH_WARNING.format(bin=layout.BIN), file=sys.stderr)
        print(f"{snap.label} installed")


def ack(chosen: argparse.Namespace) -> None:
    """Add assertions."""
    assertions.ack(chosen.name)


def refresh(chosen: argparse.Namespace) -> None:
    """Bring snaps up to date, or hold them."""
    # --hold is looked at first, and then --channel is not looked at at all (cmd_snap_op.go)
    if chosen.hold or chosen.unhold:
        _hold(chosen)
        return
    for name in chosen.names or [name for name, snap in state.installed().items() if not snap.hold]:
        before = state.get(name)
        with changes.change("refresh-snap", name):
            snap = operations.refresh(name, chosen.channel)
        if snap.revision == before.revision:
            print(f'"{name}" switched to the "{snap.channel}" channel\n')
        else:
            print(f"{snap.label} refreshed")


def _hold(chosen: argparse.Namespace) -> None:
    if not chosen.names:
        raise SnapError("holding all snaps is not part of the double")
    until = _until(chosen.hold) if chosen.hold else ""
    for name in chosen.names:
        state.change(name, hold=until)
    names = ", ".join(f'"{name}"' for name in chosen.names)
    if not until:
        print(f"Removed general refresh hold of {names}")
    else:
        print(f"General refreshes of {names} held {'indefinitely' if until == state.FOREVER else f'until {until}'}")


def _until(wanted: str) -> str:
    if wanted == state.FOREVER:
        return wanted
    number, unit = wanted[:-1], wanted[-1:]
    seconds = {"s": 1, "m": 60, "h": 3600}.get(unit)
    if seconds is None or not number.isdigit():
        raise SnapError(
            f'hold value must be a number of hours, minutes or seconds, or "forever", e.g. --hold=72h: {wanted}'
        )
    end = datetime.datetime.now(UTC) + datetime.timedelta(seconds=int(number) * seconds)
    return end.isoformat(timespec="seconds")


def switch(chosen: argparse.Namespace) -> None:
    """Track another channel, without a change of what is installed."""
    with changes.change("switch-snap", chosen.name):
        snap = state.change(chosen.name, channel=store.full_channel(chosen.channel))
    print(f'"{snap.name}" switched to the "{snap.channel}" channel\n')


def remove(chosen: argparse.Namespace) -> None:
    """Remove snaps."""
    for name in chosen.names:
        with changes.change("remove-snap", name):
            operations.remove(name)
        print(f"{name} removed" + ("" if chosen.purge else " (snap data snapshot saved)"))


def show_services(chosen: argparse.Namespace) -> None:
    """Show services."""
    text = services.show(chosen.names)
    if not text:
        raise NothingToDoError("There are no services provided by installed snaps.")
    print(text, end="")


def control(chosen: argparse.Namespace) -> None:
    """Start, stop or restart services."""
    wanted = services.resolve(chosen.names)
    with contextlib.ExitStack() as held:
        for snap in sorted({snap for snap, _ in wanted}):
            held.enter_context(changes.change("service-control", snap))
        services.control(chosen.verb, chosen.names, chosen.switch)
    print(services.VERBS[chosen.verb])


def set_values(chosen: argparse.Namespace) -> None:
    """Change options and run the configure hook."""
    snap = state.get(chosen.name)
    config = dict(snap.config)
    for pair in chosen.values:
        key, equals, value = pair.partition("=")
        if not equals and not pair.endswith("!"):
            raise SnapError(f'invalid configuration: "{pair}" (want key=value)')
        if not equals:
            config.pop(pair[:-1], None)
        else:
            config[key] = _value(value)
    with changes.change("configure-snap", snap.name):
        hooks.run_hook(state.change(snap.name, config=config), "configure")


def _value(text: str) -> Any:
    """JSON where it is JSON, text otherwise."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def get_values(chosen: argparse.Namespace) -> None:
    """Show options."""
    snap = state.installed().get(chosen.name)
    config = snap.config if snap else {}
    if chosen.document:
        shown = {key: config[key] for key in chosen.keys} if chosen.keys else config
        print(json.dumps(shown, indent="\t"))
        return
    if not chosen.keys and not config:
        raise SnapError(f'snap "{chosen.name}" has no configuration')
    if not chosen.keys:
        print(
            tables.table([("Key", "Value"), *((key, _shown(value)) for key, value in sorted(config.items()))]), end=""
        )
    for key in chosen.keys:
        if key not in config:
            raise SnapError(f'snap "{chosen.name}" has no "{key}" configuration option')
        print(_shown(config[key]))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def wait(chosen: argparse.Namespace) -> None:
    """Wait until the system is seeded."""
    if (chosen.name, chosen.key) != ("system", "seed.loaded"):
        raise SnapError(f'snap "{chosen.name}" has no "{chosen.key}" configuration option')
    while not (layout.STATE / "seeded").exists():
        time.sleep(0.5)  # as snapd does (cmd_wait.go)


def info(chosen: argparse.Namespace) -> None:
    """Show what is known of a snap."""
    snap = state.installed().get(chosen.name)
    try:
        channels = store.channels(chosen.name)
    except SnapError:
        channels = []
    if snap is None and not channels:
        raise SnapError(f'no snap found for "{chosen.name}"')
    lines = [f"name:      {chosen.name}"]
    if snap:
        lines += _local_info(snap)
    if channels:
        lines += ["channels:", *(f"  {channel}: --" for channel in channels)]
    if snap:
        lines.append(
            f"installed: {snap.version} ({snap.revision}) {snap.confinement if snap.confinement == 'classic' else '-'}"
        )
    print("\n".join(lines))


def _local_info(snap: state.Snap) -> list[str]:
    lines = [
        f"summary:   {snap.summary}",
        f"publisher: {snap.publisher}",
        "license:   unset",
        "description: |",
        f"  {snap.summary}",
    ]
    commands = sorted(snap.apps.keys() - snap.daemons)
    lines += (
        ["commands:", *(f"  - {snap.name}.{c}" if c != snap.name else f"  - {c}" for c in commands)] if commands else []
    )
    if snap.daemons:
        lines += ["services:", *(_service_info(snap, daemon) for daemon in snap.daemons)]
    lines += [f"tracking:     {snap.channel}"] if snap.channel else []
    return lines + ([f"hold:         {snap.hold}"] if snap.hold else [])


def _service_info(snap: state.Snap, daemon: str) -> str:
    startup, current = state_of(units.name(snap.name, daemon))
    return f"  {snap.name}.{daemon}: {snap.apps[daemon]['daemon']}, {startup}, {current}"


def list_changes(_: argparse.Namespace) -> None:
    """Show changes: the double remembers none."""
    raise NothingToDoError("no changes of type  found")


Describe = Callable[[Parser], None]
Act = Callable[[argparse.Namespace], None]
# verb, what it does, whether it changes the system (root only), its words
VERBS: list[tuple[str, Act, bool, Describe]] = [
    ("version", version, False, _nothing),
    ("list", list_snaps, False, _names),
    ("install", install, True, _install_words),
    ("ack", ack, True, _name),
    ("refresh", refresh, True, _refresh_words),
    ("switch", switch, True, _switch_words),
    ("remove", remove, True, _remove_words),
    ("services", show_services, False, _names),
    ("start", control, True, _service_words),
    ("stop", control, True, _service_words),
    ("restart", control, True, _service_words),
    ("set", set_values, True, _set_words),
    ("get", get_values, False, _get_words),
    ("wait", wait, False, _wait_words),
    ("info", info, False, _name),
    ("changes", list_changes, False, _names),
]
