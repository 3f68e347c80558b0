"""The door without Ray, in front of a model that answers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from mlstack.serving import app
from mlstack.serving.following import Follower, Loaded
from mlstack.serving.metrics import Metrics
from tests.serving.doubles import LIMITS, Ask, loaded


@pytest.fixture
def ask() -> Ask:
    """Ask the door: method, path, and what httpx takes."""
    follower = Follower(lambda: "1", loaded, "1", 60)

    async def predict(texts: Sequence[str]) -> tuple[Loaded, NDArray[np.float32]]:
        return follower.current, follower.current.predictor.predict(texts)

    door = app.build(follower, predict, LIMITS, Metrics("one"))

    async def asked(method: str, path: str, **given: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=door)  # what the door raises, the test sees
        async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
            return await client.request(method, path, **given)

    return lambda method, path, **given: asyncio.run(asked(method, path, **given))
