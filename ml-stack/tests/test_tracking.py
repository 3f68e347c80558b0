"""Tracking: MLflow may be away; nothing that was measured is lost, and nothing waits for it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from mlstack import runs, tracking
from mlstack.config import Config, with_settings
from mlstack.outbox import Outbox, Sent

NOBODY = "http://127.0.0.1:9"
"""The discard port: nobody listens."""


def _metrics(config: Config, run: str) -> list[float]:
    history = tracking.mlflow_client().get_metric_history(tracking.run_id(config, run), "loss")
    return [metric.value for metric in sorted(history, key=lambda metric: metric.step)]


def test_a_run_is_told_with_all_that_it_has(embedded: Config, tmp_path: Path) -> None:
    (tmp_path / "about.txt").write_text("made of this")
    with tracking.begin(embedded, "train-1", tags={"a": "b"}, params={"training.epochs": 3}) as run:
        for step in range(5):
            run.log({"loss": 1.0 / (step + 1)}, step)
        run.artifact(tmp_path / "about.txt", "about")
    client = tracking.mlflow_client()
    found = client.get_run(tracking.run_id(embedded, "train-1"))
    assert found.info.status == "FINISHED"
    assert (found.data.tags["a"], found.data.params["training.epochs"]) == ("b", "3")
    assert _metrics(embedded, "train-1") == [1.0 / (step + 1) for step in range(5)]
    assert [one.path for one in client.list_artifacts(found.info.run_id, "about")] == ["about/about.txt"]


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_how_a_run_ended_is_told(embedded: Config, error: type[BaseException], status: str) -> None:
    with pytest.raises(error), tracking.begin(embedded, "train-1"):
        raise error
    assert tracking.mlflow_client().get_run(tracking.run_id(embedded, "train-1")).info.status == status


def test_an_outage_loses_no_metric_and_holds_nothing_up(embedded: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    away = with_settings(embedded, {"tracking.flush_seconds": 0})
    with monkeypatch.context() as outage:
        outage.setenv("MLFLOW_TRACKING_URI", NOBODY)
        with tracking.begin(away, "train-1") as run:
            began = time.monotonic()
            for step in range(200):
                run.log({"loss": float(step)}, step)
            assert time.monotonic() - began < 2
        assert tracking.flush(away) == ["train-1"]
    assert tracking.flush(away) == []
    assert _metrics(embedded, "train-1") == [float(step) for step in range(200)]


def test_a_run_that_goes_on_is_the_same_run(embedded: Config) -> None:
    for step in range(2):
        with tracking.begin(embedded, "train-1") as run:
            run.log({"loss": float(step)}, step)
    assert _metrics(embedded, "train-1") == [0.0, 1.0]
    client = tracking.mlflow_client()
    experiment = client.get_experiment_by_name(embedded.model.name)
    assert experiment is not None
    assert len(client.search_runs([experiment.experiment_id])) == 1


def test_what_was_sent_before_a_kill_is_not_told_twice(embedded: Config) -> None:
    with tracking.begin(embedded, "train-1") as run:
        run.log({"loss": 1.0}, 0)
    sent = runs.folder(embedded, "train-1") / "outbox/sent.json"
    sent.write_text(json.dumps(json.loads(sent.read_text()) | {"offset": 0}))  # as if killed before it was noted
    assert tracking.flush(embedded) == []
    assert _metrics(embedded, "train-1") == [1.0]


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.add({"step": 1})
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"step": 2, "met')
    assert [event["step"] for event in outbox.unsent(outbox.sent("x"), 10)[0]] == [1]
    outbox.begin("experiment", "train-1")
    outbox.add({"step": 3})
    assert [event["step"] for event in outbox.unsent(outbox.sent("x"), 10)[0]] == [1, 3]


def test_another_server_is_told_from_the_begin(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.add({"step": 1})
    _, offset = outbox.unsent(outbox.sent("one"), 10)
    outbox.note_sent(Sent("one", "id", offset))
    assert outbox.unsent(outbox.sent("one"), 10)[0] == []
    assert [event["step"] for event in outbox.unsent(outbox.sent("two"), 10)[0]] == [1]
