"""Batch by Ray Data itself; test_batch.py runs this in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlstack.errors import UsageError
from mlstack.serving import batch
from tests.serving.test_batch import CONFIG, _registry, rows, source


def test_ray_data_predicts_chunks_and_names_a_wrong_row(source: Path, tmp_path: Path) -> None:
    import ray

    lines = source.read_text().splitlines()
    source.write_text("\n".join([*lines[:95], '{"text": null}', *lines[96:]]))
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        with pytest.raises(UsageError, match="row 95 of"):
            batch.predict(CONFIG, source, tmp_path / "out")
    finally:
        ray.shutdown()
    told = rows(tmp_path / "out")
    assert [row["row"] for row in told] == list(range(90))
    assert [row["predicted"] for row in told] == ["grain" if number % 3 else "crude" for number in range(90)]
    assert {row["model_version"] for row in told} == {"1"}
    assert all(0.5 <= row["probability"] <= 1 for row in told)
