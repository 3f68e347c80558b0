"""The one error that this package raises for what its caller can mend."""

from __future__ import annotations


class UsageError(Exception):
    """Something that was asked for and cannot be begun; a run that fails is a Result, never an error.

    Args:
        message: what is wrong, and where.
        remedy: what to do about it.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}"
