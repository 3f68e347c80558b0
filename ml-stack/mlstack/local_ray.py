"""A Ray for as long as a command runs, or the one that it is a job of."""

from __future__ import annotations

import os

from mlstack.errors import MlstackError

STARTS = 3


def join_or_start(*, log_to_driver: bool = False) -> None:
    """Connect this process to Ray, unless it is already. Raises MlstackError where Ray does not start."""
    import ray

    if ray.is_initialized():
        return
    # "local": Ray alone would join what was started on this machine last, whoever's that is.
    address = os.environ.get("RAY_ADDRESS", "local")
    more = {"include_dashboard": False} if address == "local" else {}
    mask = os.umask(0o077)  # it writes its token for the whole machine to read (seen in Ray 2.60)
    try:
        for left in reversed(range(STARTS)):
            try:
                ray.init(address, log_to_driver=log_to_driver, logging_level="ERROR", **more)
                return
            except Exception as error:  # noqa: BLE001  # Ray raises it bare, after half a minute that a busy machine exceeds
                ray.shutdown()
                if not left:
                    remedy = "Run it again when the machine is less busy; it goes on."
                    raise MlstackError(f"Ray does not start: {error}", remedy) from None
    finally:
        os.umask(mask)
