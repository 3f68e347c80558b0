from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mlstack import config, registry
from mlstack.errors import UsageError
from mlstack.serving import batch, chunks
from tests.serving import models

CONFIG = config.Config()
ROWS = 100


def version(number: str) -> registry.Version:
    return registry.Version("tiny", number, "id", "r", "d", "c", "tfidf-linear")


@pytest.fixture(autouse=True)
def _registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 1 is champion, and any number is a version."""
    folder = models.make(tmp_path / "model")
    monkeypatch.setattr(registry, "version", lambda _, wanted: version("1" if wanted == "champion" else wanted))
    monkeypatch.setattr(registry, "fetch", lambda *_: folder)
    monkeypatch.setattr(chunks, "ROWS", 30)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"text": text_of(number)}) + "\n" for number in range(ROWS)))
    return path


def text_of(number: int) -> str:
    return f"{'wheat harvest' if number % 3 else 'crude oil'} {number}"


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ray's place is taken by a worker here; the numbers of the chunks that it was given."""
    given: list[int] = []

    def run(work: batch.Work) -> None:
        worker = batch.Worker(work)
        for number, chunk in enumerate(work.chunks):
            assert worker({"id": [number]}) == {"rows": [chunk.rows], "fault": [""]}
            given.append(chunk.number)

    monkeypatch.setattr(batch, "_run", run)
    return given


def rows(out: Path) -> list[dict[str, Any]]:
    return [row for part in batch.parts(out) for row in pq.read_table(part).to_pylist()]


def test_a_part_that_is_done_is_not_done_again(source: Path, tmp_path: Path, done: list[int]) -> None:
    batch.predict(CONFIG, source, tmp_path / "out")
    (tmp_path / "out" / "part-000002.parquet").unlink()
    found = batch.predict(CONFIG, source, tmp_path / "out")
    assert (done, found.rows, found.kept) == ([0, 1, 2, 3, 2], 30, 70)
    assert [row["row"] for row in rows(tmp_path / "out")] == list(range(ROWS))


def test_a_batch_goes_on_with_the_version_that_it_began_with(
    source: Path, tmp_path: Path, done: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch.predict(CONFIG, source, tmp_path / "out")
    (tmp_path / "out" / "part-000000.parquet").unlink()
    monkeypatch.setattr(registry, "version", lambda _, wanted: version("2" if wanted == "champion" else wanted))
    assert batch.predict(CONFIG, source, tmp_path / "out").version.number == "1"
    assert {row["model_version"] for row in rows(tmp_path / "out")} == {"1"}
    assert len(done) == 5


@pytest.mark.parametrize("changed", ["source", "version", "field"])
def test_parts_of_another_batch_are_never_mixed_in(source: Path, tmp_path: Path, done: list[int], changed: str) -> None:
    batch.predict(CONFIG, source, tmp_path / "out")
    given, wanted = CONFIG, ""
    if changed == "source":
        source.write_text(source.read_text().replace("wheat", "wheal"))
    elif changed == "version":
        wanted = "7"
    else:
        given = config.with_settings(CONFIG, {"data.text": "body"})
    with pytest.raises(UsageError, match=r"holds a batch of .*in\.jsonl by version 1"):
        batch.predict(given, source, tmp_path / "out", wanted)
    assert done == [0, 1, 2, 3]


@pytest.mark.slow
def test_ray_data_predicts_in_a_process_of_its_own() -> None:
    """Ray reads its token once a process, and served models have a Ray with one of its own."""
    command = [sys.executable, "-m", "pytest", "-q", str(Path(__file__).with_name("ray_data.py"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
