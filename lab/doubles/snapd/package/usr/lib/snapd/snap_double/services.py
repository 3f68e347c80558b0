"""Services of a snap: list, start, stop, restart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from . import state, system, tables, units
from .errors import SnapError

VERBS = {"start": "Started.", "stop": "Stopped.", "restart": "Restarted."}


def resolve(names: Iterable[str]) -> list[tuple[str, str]]:
    """Snap and service for each named snap (all of its services) or snap.service, in the order they start in.

    Raises:
        SnapError: there is no such snap or service.
    """
    found: list[tuple[str, str]] = []
    snaps = state.installed()
    for full in names:
        snap, _, service = full.partition(".")
        if snap not in snaps:
            raise SnapError(f'snap "{snap}" not found')
        if service and service not in snaps[snap].daemons:
            raise SnapError(f'snap "{snap}" has no service "{service}"')
        found += [(snap, each) for each in ([service] if service else _in_order(snaps[snap]))]
    return found


def _in_order(snap: state.Snap) -> list[str]:
    return sorted(snap.daemons, key=lambda daemon: (len(snap.apps[daemon].get("after", [])), daemon))


def show(names: Sequence[str]) -> str:
    """The table of `snap services`.

    Raises:
        SnapError: there is no such snap or service.
    """
    wanted = resolve(names or list(state.installed()))
    if not wanted:
        return ""
    rows = [(f"{snap}.{service}", *system.state_of(units.name(snap, service)), "-") for snap, service in sorted(wanted)]
    return tables.table([("Service", "Startup", "Current", "Notes"), *rows])


def control(verb: str, names: Sequence[str], switch: bool = False) -> None:
    """Start, stop or restart services; `switch` also enables those started and disables those stopped."""
    wanted = [units.name(snap, service) for snap, service in resolve(names)]
    if verb == "restart" and all("." not in name for name in names):
        # a whole snap's restart leaves alone what is not running
        wanted = [unit for unit in wanted if system.state_of(unit)[1] == "active"]
    if switch and verb != "restart":
        system.systemctl("enable" if verb == "start" else "disable", "--quiet", *wanted)
    if wanted:
        system.systemctl(verb, *wanted)
