"""The one error type of Groundwork's modules."""

from __future__ import annotations


class GroundworkError(Exception):
    """Something that a person has to put right: what is wrong and where, and what to do about it."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message, remedy)  # both in args: the error crosses from a child process by pickle
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message.rstrip('.')}. {self.remedy}" if self.remedy else self.message
