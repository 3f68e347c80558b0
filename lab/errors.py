"""The one error that the lab raises for what its user can mend."""

from __future__ import annotations


class LabError(Exception):
    """Something the lab cannot go on with: what is wrong and where, and what to do about it.

    Args:
        message: what is wrong, and where.
        remedy: what the user can do about it.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
