"""The errors that this package raises: each says what is wrong, where, and what to do."""

from __future__ import annotations


class MlstackError(Exception):
    """Something was tried and failed (exit status 1).

    Args:
        message: what is wrong, and where.
        remedy: what to do about it.
    """

    exit_status = 1

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}"


class UsageError(MlstackError):
    """Something was asked for wrongly, or what it needs is not there: nothing was begun (exit status 2)."""

    exit_status = 2
