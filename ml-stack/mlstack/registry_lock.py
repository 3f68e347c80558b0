"""One change of the champion at a time, wherever it is asked for, by what MLflow's registry can do: tags.

MLflow cannot compare and swap. So each who wants to change the champion sets a tag of its own, and then reads all:
of two, the one that reads last sees the other, and whoever sees another withdraws and tries again. At most one goes on.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlstack.errors import MlstackError

if TYPE_CHECKING:
    from mlflow import MlflowClient

TAG = "mlstack.promoting."
STALE_SECONDS = 120.0
"""A tag this old is of a process that was killed; a change takes less than a second."""
PATIENCE_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 0.5


@contextmanager
def hold(client: MlflowClient, name: str, number: str) -> Iterator[None]:
    """Hold the lock of a registered model, to make version `number` its champion.

    Raises:
        MlstackError: where another holds it for long; its version is named.
    """
    tag, until = f"{TAG}{uuid.uuid4().hex}", time.monotonic() + PATIENCE_SECONDS
    try:
        while other := _claim(client, name, tag, number):
            client.delete_registered_model_tag(name, tag)
            if time.monotonic() > until:
                raise MlstackError(
                    f"{name} version {number} was not promoted: version {other} is being promoted",
                    f"Try again; what was killed meanwhile holds it for {STALE_SECONDS:.0f} seconds.",
                )
            time.sleep(random.uniform(0.1, 1) * LONGEST_PAUSE_SECONDS)
        yield
    finally:
        client.delete_registered_model_tag(name, tag)


def _claim(client: MlflowClient, name: str, tag: str, number: str) -> str:
    """Set the tag; returns the version that another is promoting, or ""."""
    client.set_registered_model_tag(name, tag, f"{number} {time.time():.0f}")
    for found, value in client.get_registered_model(name).tags.items():
        if not found.startswith(TAG) or found == tag:
            continue
        other, since = value.split()
        if time.time() - float(since) < STALE_SECONDS:
            return str(other)
        client.delete_registered_model_tag(name, found)
    return ""
