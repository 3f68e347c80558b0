"""Misspelled variables of ours. Ansible's argument specs check values of what they know and never see anything else."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ansible.module_utils.groundwork.check import Check, judge

SIMILAR = 0.88
"""So like a variable of ours, by difflib's measure, that a name without our prefix is taken for a slip of the pen."""


@dataclass(frozen=True)
class Unknown:
    """A variable that nothing here reads, and what was probably meant; `renamed` says that it had this name once."""

    name: str
    nearest: str | None
    renamed: bool = False

    def __str__(self) -> str:
        """For people."""
        if self.renamed:
            return f"{self.name} is called {self.nearest} now"
        return f"{self.name} (did you mean {self.nearest}?)" if self.nearest else self.name


def unknown(
    variables: Iterable[str], known: Collection[str], roles: Collection[str], renamed: Mapping[str, str]
) -> list[Unknown]:
    """Which of a host's variables are meant for us and read by nothing.

    known    names of all public variables
    roles    names of all roles: a variable that begins with one is ours
    renamed  old names and their new ones
    """
    prefixes = tuple(f"{role}_" for role in roles)
    return [
        found
        for name in sorted(set(variables) - set(known))
        if not name.startswith("_") and (found := _unknown(name, known, prefixes, renamed))
    ]


def check(found: Collection[Unknown]) -> Check:
    """The verdict on one host's variables."""
    return judge(
        "site.variables_are_known",
        not found,
        "; ".join(map(str, found)) or "all of them",
        "every variable that begins with a role's name is one of that role's",
        "Correct the names in the inventory or its group_vars; each role's README lists its variables.",
    )


def _unknown(
    name: str, known: Collection[str], prefixes: tuple[str, ...], renamed: Mapping[str, str]
) -> Unknown | None:
    if name in renamed:
        return Unknown(name, renamed[name], renamed=True)
    if name.startswith(prefixes):
        return Unknown(name, _nearest(name, known, 0.6))
    similar = _nearest(name, known, SIMILAR)
    return Unknown(name, similar) if similar else None


def _nearest(name: str, known: Collection[str], likeness: float) -> str | None:
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=likeness)), None)
