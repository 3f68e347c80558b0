"""What `snap` ends with when it cannot do what it is asked; texts and statuses are snapd's."""

from __future__ import annotations

FAILED = 1
IN_PROGRESS = 10  # the snap has another change in progress (cmd/snap/main.go)
USAGE = 64


class SnapError(Exception):
    """Printed as `error: MESSAGE` on standard error."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


class NothingToDoError(Exception):
    """There is nothing to do, which snapd says on standard error with status 0 (cmd/snap/error.go)."""
