"""The served model as an application of Ray Serve: door and model are one process, so a request takes one hop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from fastapi import FastAPI
from numpy.typing import NDArray

from mlstack import model_card, platform, predictor, registry
from mlstack.config import Config, Serving
from mlstack.serving import app
from mlstack.serving.following import Follower, Loaded
from mlstack.serving.metrics import Metrics
from mlstack.serving.schema import Model

NAME = "mlstack"
LOAD_TRIES = 3
QUEUED_BATCHES = 4
"""That a replica holds; what is more waits at the proxy, which then can choose another replica."""
Question = Sequence[str]
Found = tuple[Loaded, NDArray[np.float32]]


def application(config: Config, first: str) -> Any:
    """What `serve.run` takes. A replica begins with version `first` where the registry does not answer."""
    from ray import serve

    def door() -> FastAPI:
        platform.connect(config)
        follower = follow(config, first)
        metrics = Metrics(serve.get_replica_context().replica_id.unique_id)
        return app.build(follower, batched(follower, metrics, config.serving), config.serving, metrics)

    serving = config.serving
    deployment = serve.deployment(
        name="model",
        num_replicas=serving.replicas,
        max_ongoing_requests=QUEUED_BATCHES * serving.max_batch,
        max_surge_percent=100,  # changed settings start new replicas before the old ones end
        max_constructor_retry_count=LOAD_TRIES,
        logging_config={
            "enable_access_log": False,
            "log_level": "WARNING",
        },  # a line a request costs a third of its time
    )
    return deployment(serve.ingress(door)()).bind()


def follow(config: Config, first: str) -> Follower:
    """Follows serving.alias at the registry."""

    def find() -> str:
        found = registry.by_alias(config, config.serving.alias)
        return found.number if found else ""

    return Follower(find, lambda number: load(config, number), first, config.serving.follow_seconds)


def load(config: Config, number: str) -> Loaded:
    """A version out of the registry, in memory."""
    folder = registry.fetch(config, registry.version(config, number))
    card = model_card.read(folder)
    told = Model(
        name=config.model.name,
        version=number,
        run_name=card.run_name,
        data_md5=card.data_md5,
        git_commit=card.git_commit,
    )
    return Loaded(told, predictor.load(folder))


def batched(follower: Follower, metrics: Metrics, limits: Serving) -> app.Predict:
    """Predicts requests together: one forward pass, one version, away from the loop that answers health checks."""
    from ray import serve

    async def together(questions: list[Question]) -> list[Found]:
        loaded = follower.current
        texts = [text for question in questions for text in question]
        metrics.batch(len(texts))
        found = await asyncio.to_thread(loaded.predictor.predict, texts)
        ends = np.cumsum([len(question) for question in questions])
        return [(loaded, part) for part in np.split(found, ends[:-1])]

    predict: app.Predict = serve.batch(
        together,
        max_batch_size=limits.max_batch,
        batch_wait_timeout_s=limits.batch_wait_seconds,
        batch_size_fn=_size(limits.max_batch),
    )
    return predict


def _size(most: int) -> Callable[[list[Question]], int]:
    """Texts of a batch. One request alone always fits: Serve would answer 500 to one that is larger than a batch."""

    def size(questions: list[Question]) -> int:
        texts = sum(len(question) for question in questions)
        return min(texts, most) if len(questions) == 1 else texts

    return size
