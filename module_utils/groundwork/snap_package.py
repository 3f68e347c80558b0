"""A snap as an installation leaves it: from its channel or from a file, and held.

Rests on snapd's own texts and exit statuses (cmd/snapd/cli, read at 2.77): installing a snap that is there already is
exit 0 and leaves the channel as it is; `refresh --hold` swallows `--channel`. So what is wanted is compared with
`snap list`, and each thing is asked for by a command of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible.module_utils.groundwork.command import MISSING, Run
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.microk8s.snap import Snap, parse_list

LIST_SECONDS = 60.0
INSTALL_SECONDS = 1800.0
"""A snap of 200 MB from the store, through a slow line, and its hooks."""


@dataclass(frozen=True)
class Wanted:
    """What is to be there.

    name       the snap's
    channel    track and risk, literally: snapd shows 1.36 as 1.36/stable
    classic    whether the snap is published with classic confinement
    held       whether snapd must not refresh it by itself
    file       a file of the snap; "" for the store
    assertion  a file of the assertions that vouch for `file`
    """

    name: str
    channel: str
    classic: bool = False
    held: bool = False
    file: str = ""
    assertion: str = ""


@dataclass(frozen=True)
class Action:
    """One snap command, and what it does in words."""

    what: str
    arguments: tuple[str, ...]


def observe(run: Run, name: str) -> Snap | None:
    """The snap as it is installed; None where it, or snapd, is not there.

    Raises GroundworkError where snapd does not answer.
    """
    output = run(["snap", "list", name], LIST_SECONDS)
    if output.code == MISSING or "no matching snaps installed" in output.stderr:
        return None
    if output.code:
        raise GroundworkError(f"`snap list` failed: {output.text}", "See `systemctl status snapd`.")
    return parse_list(output.stdout, name)


def plan(installed: Snap | None, wanted: Wanted) -> list[Action]:
    """The commands that lead from what is installed to what is wanted; never to another channel.

    Raises GroundworkError where the snap tracks another channel: leading it over is an upgrade, not an installation.
    """
    if installed and installed.channel not in (None, wanted.channel):
        raise GroundworkError(
            f"The snap {wanted.name} tracks {installed.channel}, wanted is {wanted.channel}",
            "Moving to another channel is an upgrade: plan it, or declare the channel that is installed.",
        )
    actions = [] if installed else _installation(wanted)
    if wanted.held and not (installed and installed.held):
        actions.append(Action(f"hold {wanted.name}", ("refresh", "--hold=forever", wanted.name)))
    return actions


def _installation(wanted: Wanted) -> list[Action]:
    """From a file with its assertions, or from the store. snapd refuses a file that its assertion does not fit."""
    classic = ("--classic",) if wanted.classic else ()
    if wanted.file:
        return [
            Action(f"acknowledge {wanted.assertion}", ("ack", wanted.assertion)),
            Action(f"install {wanted.name} from {wanted.file}", ("install", *classic, wanted.file)),
        ]
    words = f"install {wanted.name} from {wanted.channel}"
    return [Action(words, ("install", *classic, "--channel", wanted.channel, wanted.name))]


def apply(run: Run, actions: Sequence[Action]) -> None:
    """Run the commands in order.

    Raises GroundworkError with what snap said at the first that fails; snapd undoes a failed installation by itself.
    """
    for action in actions:
        output = run(["snap", *action.arguments], INSTALL_SECONDS)
        if output.code:
            raise GroundworkError(f"Could not {action.what}: {output.text}", _remedy(output.stderr))


def _remedy(error: str) -> str:
    """What to do about a failed snap command."""
    if "change in progress" in error:
        return "Wait until `snap changes` shows nothing in progress, and run this again."
    if any(text in error for text in ("no snap found", "cannot communicate", "not available on", "unable to contact")):
        return "See whether the host reaches the snap store and the channel exists, or set site_mirror_snaps_url."
    return "Look at `snap changes` and the journal of snapd.service on the host."
