"""What the served model is asked and what it answers; limits come from params.yaml."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from mlstack import config

MOST_FAULTS = 3
"""Told in an answer; a request of 64 wrong texts has as many."""


class Shape(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())


class Model(Shape):
    """Where an answer came from; `mlstack lineage VERSION` tells the rest."""

    name: str
    version: str
    run_name: str
    data_md5: str
    git_commit: str


class Prediction(Shape):
    """The most probable label of a text, and the probability of each."""

    label: str
    probabilities: dict[str, float]


class Answer(Shape):
    """One prediction a text, in the texts' order, all by the same model."""

    predictions: list[Prediction]
    model: Model


class Health(Shape):
    """`registry` says why a newer champion may not be served yet; empty where all is well."""

    status: str
    replica: str
    version: str
    registry: str


class Problem(Shape):
    """What is wrong with a request."""

    error: str


class Question(BaseModel):
    """What every question has; `question` adds the limits."""

    model_config = ConfigDict(extra="forbid", strict=True)

    texts: list[str]


def question(limits: config.Serving) -> type[Question]:
    """The shape of a request."""
    text = Annotated[str, Field(min_length=1, max_length=limits.max_characters)]
    texts: Any = Annotated[list[text], Field(min_length=1, max_length=limits.max_texts)]
    return create_model("Question", __base__=Question, texts=(texts, ...))


def faults(error: ValidationError) -> str:
    """What is wrong and where, without the input itself: it may be anything, of any size."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = [_fault(fault["loc"], fault["msg"]) for fault in found[:MOST_FAULTS]]
    more = len(found) - MOST_FAULTS
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")


def _fault(place: tuple[int | str, ...], message: str) -> str:
    where = ".".join(str(part) for part in place)[:100]
    return f"{where}: {message}" if where else message
