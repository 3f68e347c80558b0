"""Packages that no upgrade touches: dpkg's selection `hold`, asked and set for all of them at once."""

from __future__ import annotations

from collections.abc import Sequence

from ansible.module_utils.groundwork.command import Run
from ansible.module_utils.groundwork.errors import GroundworkError

QUERY_SECONDS = 60.0


def not_held(run: Run, names: Sequence[str]) -> list[str]:
    """The packages, of those that are to be held, that are installed and not held yet.

    Raises GroundworkError for a package that is not installed: there is nothing to hold.
    """
    output = run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Want} ${db:Status-Status}\\n", *names], QUERY_SECONDS
    )
    rows = {row[0]: row[1:] for line in output.stdout.splitlines() if len(row := line.split()) == 3}
    missing = [name for name in names if rows.get(name, ["", ""])[1] != "installed"]
    if missing:
        raise GroundworkError(f"Not installed: {', '.join(missing)}", "Install the packages before they are held.")
    return [name for name in names if rows[name][0] != "hold"]


def hold(run: Run, names: Sequence[str]) -> None:
    """Hold installed packages.

    Raises GroundworkError with what apt-mark said where it fails.
    """
    output = run(["apt-mark", "hold", *names], QUERY_SECONDS)
    if output.code:
        raise GroundworkError(
            f"`apt-mark hold` failed: {output.text}", "See whether another program holds dpkg's lock."
        )
