"""Whole files by Ray Data: chunks in, a part of Parquet out for each, so that a stopped batch goes on where it was.

A row of a part says where its text stood (`source`, `row`), what was found (`predicted`, `probability`) and by which
version. `batch.json` beside the parts says what the batch is; parts of another one are never mixed in.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlstack import local_ray, model_card, predictor, registry
from mlstack.config import Config
from mlstack.errors import MlstackError, UsageError
from mlstack.files import write_whole
from mlstack.progress import progress, say
from mlstack.serving.chunks import Chunk, plan, read

MOST_BLOCKS = 1000


@dataclass(frozen=True)
class Batched:
    """What came of a batch.

    rows  that were predicted now; `kept` were before
    """

    version: registry.Version
    rows: int
    kept: int


@dataclass(frozen=True)
class Work:
    """What a worker has to know; paths are absolute, since it runs in another folder."""

    model: str
    out: str
    text: str
    version: str
    chunks: tuple[Chunk, ...]


def predict(config: Config, source: Path, out: Path, wanted: str = "") -> Batched:
    """Predict every text of a file or a folder.

    Args:
        config: whose registry, and whose data.text names the field.
        source: `.jsonl` or `.parquet`, or a folder of these.
        out: a folder, made where it is missing; a stopped batch in it goes on, with the version that it began with.
        wanted: a number, alias or run name; serving.alias where empty.

    Raises:
        UsageError: where the source has nothing to read, or `out` holds another batch.
        MlstackError: where a row has no text; what was done is kept.
    """
    chunks = plan(source)
    version = _begin(config, source, chunks, out, wanted)
    left = [chunk for chunk in chunks if not _part(out, chunk).exists()]
    kept = sum(chunk.rows for chunk in chunks) - sum(chunk.rows for chunk in left)
    if kept:
        say(f"{kept:,} rows were predicted before, by {version}")
    if left:
        folder = registry.fetch(config, version)
        _run(Work(str(folder.resolve()), str(out.resolve()), config.data.text, version.number, tuple(left)))
    return Batched(version, sum(chunk.rows for chunk in left), kept)


def _begin(config: Config, source: Path, chunks: Sequence[Chunk], out: Path, wanted: str) -> registry.Version:
    """Note what the batch is, or find that it is the one that was begun; the version that it goes on with."""
    noted = out / "batch.json"
    before = json.loads(noted.read_text()) if noted.exists() else {}
    chosen = registry.version(config, wanted or before.get("version") or config.serving.alias)
    changed = {chunk.source: Path(chunk.source).stat().st_mtime_ns for chunk in chunks}
    told = json.dumps([[asdict(chunk) for chunk in chunks], changed, config.data.text, config.model.name])
    now = {
        "source": str(source.resolve()),
        "sha256": hashlib.sha256(told.encode()).hexdigest(),
        "version": chosen.number,
    }
    if before and before != now:
        raise UsageError(
            f"{out} holds a batch of {before['source']} by version {before['version']}, or the source changed since",
            "Name another folder by --out, or remove this one.",
        )
    out.mkdir(parents=True, exist_ok=True)
    write_whole(noted, json.dumps(now))
    return chosen


def _run(work: Work) -> None:
    """Spread the chunks over workers that hold the model each."""
    import ray
    from ray.exceptions import RayError

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    mine = not ray.is_initialized()
    if mine:
        local_ray.join_or_start()
    try:
        with progress("Predicting", sum(chunk.rows for chunk in work.chunks), "texts") as told:
            for row in _pipeline(work).iter_rows():
                if row["fault"]:
                    raise UsageError(row["fault"], "Correct it, or set data.text; parts that are done are kept.")
                told.advance(int(row["rows"]))
    except RayError as error:
        line = " ".join(str(getattr(error, "cause", None) or error).split())[:500]
        raise MlstackError(f"the batch stopped: {line}", "Run it again; parts that are done are kept.") from None
    finally:
        if mine:
            ray.shutdown()


def _pipeline(work: Work) -> Any:
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # ours counts texts
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    had = ray.cluster_resources()
    gpus = int(had.get("GPU", 0))
    count = len(work.chunks)
    workers = min(count, gpus or max(1, int(had.get("CPU", 1))))
    # Not ray.data.range: its tasks would wait for the processors that the workers hold.
    items = [{"id": number} for number in range(count)]
    numbers = ray.data.from_items(items, override_num_blocks=min(count, MOST_BLOCKS))
    return numbers.map_batches(
        Worker,
        fn_constructor_args=(work,),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_gpus=1 if gpus else 0,
        num_cpus=0 if gpus else 1,
    )


class Worker:
    """Holds the model, and turns a chunk into a part."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._predictor = predictor.load(Path(work.model))
        self._labels = model_card.read(Path(work.model)).labels

    def __call__(self, given: dict[str, Any]) -> dict[str, list[Any]]:
        """One chunk, by its number; a wrong row is told, since Ray would bury an error of ours in its own."""
        chunk = self._work.chunks[int(given["id"][0])]
        try:
            texts = read(chunk, self._work.text)
        except UsageError as error:
            return {"rows": [0], "fault": [error.message]}
        self._write(chunk, texts)
        return {"rows": [len(texts)], "fault": [""]}

    def _write(self, chunk: Chunk, texts: list[str]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        found = self._predictor.predict(texts)
        table = pa.table(
            {
                "source": [chunk.source] * len(texts),
                "row": range(chunk.first, chunk.first + len(texts)),
                "text": texts,
                "predicted": [self._labels[number] for number in found.argmax(axis=1)],
                "probability": found.max(axis=1),
                "model_version": [self._work.version] * len(texts),
            }
        )
        path = _part(Path(self._work.out), chunk)
        partial = path.with_suffix(".partial")
        pq.write_table(table, partial)
        partial.replace(path)


def parts(out: Path) -> Iterator[Path]:
    """The parts of a batch, in the order of its rows."""
    yield from sorted(out.glob("part-*.parquet"))


def _part(out: Path, chunk: Chunk) -> Path:
    return out / f"part-{chunk.number:06}.parquet"
