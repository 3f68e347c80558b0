"""A model that answers at once, and requests that are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import httpx
import numpy as np
from numpy.typing import NDArray

from mlstack import config
from mlstack.serving.following import Loaded
from mlstack.serving.schema import Model

Ask = Callable[..., httpx.Response]
LIMITS = config.Serving(max_texts=4, max_characters=100, max_bytes=10_000)
BAD = {
    "no JSON": (b"texts=hello", 400, "JSON"),
    "nothing": (b"", 400, "JSON"),
    "cut off": (b'{"texts": ["a', 400, "JSON"),
    "Latin-1": ('{"texts": ["Zürich"]}'.encode("latin-1"), 400, "unicode"),
    "UTF-16": ('{"texts": ["a"]}'.encode("utf-16"), 400, "JSON"),
    "half a surrogate pair": (b'{"texts": ["\\ud800"]}', 400, "hex escape"),
    "deeply nested": (b"[" * 5000, 400, "recursion"),
    "no object": (b'["a"]', 422, "object"),
    "a text, no list": (b'{"texts": "a"}', 422, "texts: Input should be a valid array"),
    "a number": (b'{"texts": ["a", 7]}', 422, "texts.1: Input should be a valid string"),
    "null": (b'{"texts": null}', 422, "texts"),
    "no texts at all": (b"{}", 422, "texts: Field required"),
    "no text": (b'{"texts": []}', 422, "at least 1"),
    "an empty text": (b'{"texts": [""]}', 422, "texts.0: String should have at least 1"),
    "too many texts": (json.dumps({"texts": ["a"] * 5}).encode(), 422, "at most 4"),
    "too long a text": (json.dumps({"texts": ["a" * 101]}).encode(), 422, "at most 100"),
    "an unknown key": (b'{"texts": ["a"], "txets": 1}', 422, "txets: Extra inputs"),
    "10 MB": (b'{"texts": ["' + b"a" * 10_000_000 + b'"]}', 413, "10000 bytes"),
    "many faults": (b'{"texts": [1, 2, 3, 4]}', 422, "and 1 more"),
}
"""By what is wrong: the body, the status, and a part of what is told."""


class Lengths:
    """Says whether a text is short."""

    labels: tuple[str, ...] = ("short", "long")

    def predict(self, texts: Sequence[str]) -> NDArray[np.float32]:
        for text in texts:
            text.encode()  # as a tokenizer does
        return np.array([[0.9, 0.1] if len(text) < 10 else [0.2, 0.8] for text in texts], dtype=np.float32)


def loaded(version: str = "1") -> Loaded:
    model = Model(name="m", version=version, run_name="r-1", data_md5="d", git_commit="c")
    return Loaded(model, Lengths())
