"""The door of the served model: what comes in is read within limits, and whatever it is, the answer is JSON."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import FastAPI, Request, Response
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from mlstack.serving import schema
from mlstack.serving.following import Follower, Loaded
from mlstack.serving.metrics import Metrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mlstack import config

PATHS = ("/predict", "/health", "/model", "/metrics", "/openapi.json")
MODEL_HEADER = "x-mlstack-model"
"""NAME/VERSION, in every answer of /predict: what `mlstack lineage` takes."""
Predict = Callable[[Sequence[str]], Awaitable[tuple[Loaded, NDArray[np.float32]]]]


def build(follower: Follower, predict: Predict, limits: config.Serving, metrics: Metrics) -> FastAPI:
    """The ASGI application of one replica."""
    app = FastAPI(title="mlstack", docs_url=None, redoc_url=None, lifespan=_following(follower))
    app.add_middleware(Measured, metrics=metrics)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(ClientDisconnect, _gone)
    _add_predict(app, predict, limits)

    @app.get("/health")
    async def health() -> schema.Health:
        """Whether a model is served."""
        version = follower.current.model.version
        return schema.Health(status="ok", replica=metrics.replica, version=version, registry=follower.trouble)

    @app.get("/model")
    async def model() -> schema.Model:
        """The version that is served."""
        return follower.current.model

    @app.get("/metrics", response_class=Response)
    async def told() -> Response:
        """Requests and latencies, in Prometheus' format."""
        return Response(metrics.text(follower.current.model.version), media_type="text/plain; version=0.0.4")

    return app


def _add_predict(app: FastAPI, predict: Predict, limits: config.Serving) -> None:
    question = schema.question(limits)
    body = {"required": True, "content": {"application/json": {"schema": question.model_json_schema()}}}
    wrong: dict[int | str, dict[str, Any]] = {
        400: {"model": schema.Problem, "description": "no JSON, or not in UTF-8"},
        413: {"model": schema.Problem, "description": f"more than {limits.max_bytes} bytes"},
        422: {"model": schema.Problem, "description": "not of the schema"},
    }

    # The body is read here and not by FastAPI: within its limit, and by a parser that refuses what no tokenizer takes.
    @app.post("/predict", response_model=schema.Answer, responses=wrong, openapi_extra={"requestBody": body})
    async def predicted(request: Request) -> Response:
        """Classify texts."""
        try:
            asked = question.model_validate_json(await _body(request, limits.max_bytes))
        except ValidationError as error:
            status = 400 if error.errors()[0]["type"] == "json_invalid" else 422
            return _json(schema.Problem(error=schema.faults(error)), status)
        loaded, probabilities = await predict(asked.texts)
        answer = loaded.answer(probabilities)
        return _json(answer, headers={MODEL_HEADER: f"{answer.model.name}/{answer.model.version}"})


async def _body(request: Request, most: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise HTTPException(413, f"the body has more than {most} bytes; send fewer texts at once")
        parts.append(part)
    return b"".join(parts)


async def _refused(_: Request, error: Exception) -> Response:
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    headers = getattr(error, "headers", None)
    return _json(schema.Problem(error=str(detail)), status, headers)


async def _gone(_: Request, __: Exception) -> Response:
    """Nobody reads this answer; it is for the count."""
    return _json(schema.Problem(error="the client went away before its body was whole"), 400)


def _json(content: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(content.model_dump_json(), status, headers, "application/json")


def _following(follower: Follower) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        follower.start()
        yield
        follower.end()

    return lifespan


class Measured:
    """Counts every answer by path and status; a path that nobody made up is "other"."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, and note what was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            path = scope["path"] if scope["path"] in PATHS else "other"
            self._metrics.answered(path, status, time.perf_counter() - began)
