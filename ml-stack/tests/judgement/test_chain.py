"""From data to a champion that had to earn it, and one that did not."""

from __future__ import annotations

import argparse
import importlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from mlstack import model_card, predictor, registry, runs, tracking
from mlstack.config import Config, with_settings
from mlstack.data import records
from mlstack.errors import UsageError
from mlstack.judgement import baseline
from mlstack.result import Result

WORDS = {"corn": "wheat maize harvest", "ship": "port vessel cargo", "rate": "bank lending points"}
MD5 = "0123456789abcdef0123456789abcdef.dir"


@pytest.fixture
def project(embedded: Config) -> Config:
    """A small data set whose texts are of their label's words for two thirds."""
    dice = random.Random(5)
    every = " ".join(WORDS.values()).split()
    for split, count in (("train", 240), ("validation", 60), ("test", 90)):
        path = Path("data") / f"{split}.jsonl"
        path.parent.mkdir(exist_ok=True)
        rows = [(label, WORDS[label].split()) for label in dice.choices(list(WORDS), k=count)]
        texts = [" ".join(dice.choices(words, k=3) + dice.choices(every, k=4)) for _, words in rows]
        lines = [json.dumps({"text": text, "label": label}) for text, (label, _) in zip(texts, rows, strict=True)]
        path.write_text("\n".join(lines))
    Path("data.dvc").write_text(f"outs:\n- md5: {MD5}\n  path: data\n")
    return embedded


def verb(name: str, config: Config, *words: str) -> Result:
    """Run a verb as the command line does."""
    module: Any = importlib.import_module(f"mlstack.verbs.{name}")
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    found: Result = module.run(parser.parse_args(words), config)
    return found


def candidate(config: Config, name: str, texts: Sequence[str], labels: Sequence[str]) -> None:
    """A run whose model learned these texts by heart, where the verbs look for a candidate."""
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression(C=1000)).fit(texts, labels)
    folder = runs.folder(config, name) / "model"
    card = model_card.ModelCard("tfidf-linear", name, MD5, "c0ffee", tuple(pipeline.classes_))
    with tracking.begin(config, name, tags={"data.md5": MD5}) as run:
        run.log({"loss": 1.0}, 1)
        run.log({"loss": 0.5, "validation.loss": 0.6, "validation.macro_f1": 0.9}, 2)
        for path in (folder, Path("models/candidate")):
            baseline._save(pipeline, card, path)
        run.artifact(folder, "model")


@pytest.mark.slow
def test_a_candidate_that_loses_is_not_registered_and_one_that_wins_is(project: Config) -> None:
    first = verb("baseline", project)
    assert first.data["fresh"] is True
    again = verb("baseline", with_settings(project, {"training.epochs": 9}))
    assert (again.data["fresh"], again.data["run_name"]) == (False, first.data["run_name"])

    texts, labels = records.columns(project.data, "test")
    candidate(project, "train-bad", texts, labels[1:] + labels[:1])
    found = verb("evaluate", project)
    assert found.ok, "that a candidate loses is no failure of the verb"
    assert found.data["passed"] is False
    outcome = verb("register", project)
    assert (outcome.ok, outcome.data["registered"]) == (True, False)
    assert "did not pass gate.beats_baseline" in outcome.text
    assert outcome.data["champion"]["run_name"] == first.data["run_name"], "there is something to serve all the same"

    candidate(project, "train-good", texts, labels)
    with pytest.raises(UsageError, match="the evaluation is of train-bad, not of train-good"):
        verb("register", project)
    assert verb("evaluate", project).data["passed"] is True
    outcome = verb("register", project)
    assert outcome.data["challenger"]["against"] == "1"
    assert verb("promote", project).data["champion"]["run_name"] == "train-good"
    served = registry.champion(project)
    assert served is not None
    assert predictor.load(registry.fetch(project, served)).labels == tuple(sorted(WORDS))
    assert verb("register", project).data["reason"] == "train-good is the champion already"
    assert verb("rollback", project).data["champion"]["run_name"] == first.data["run_name"]
    assert "reuters-r8 version 1 (champion)" in verb("lineage", project, "champion").text


@pytest.mark.slow
def test_a_candidate_worse_than_the_champion_is_not_registered(project: Config) -> None:
    verb("baseline", project)
    texts, labels = records.columns(project.data, "test")
    candidate(project, "train-good", texts, labels)
    for name in ("evaluate", "register", "promote"):
        verb(name, project)
    candidate(project, "train-fair", texts, [*labels[:-5], *labels[-4:], labels[-5]])
    found = verb("evaluate", project)
    assert [gate["name"] for gate in found.data["gates"] if gate["status"] == "failed"] == ["gate.beats_champion"]
    assert set(found.data["models"]) == {"candidate", "baseline", "champion"}
    assert verb("register", project).data["registered"] is False
    with pytest.raises(UsageError, match="challenger"):
        verb("promote", project)


@pytest.mark.slow
def test_the_report_stands_alone_and_is_the_runs(project: Config) -> None:
    verb("baseline", project)
    texts, labels = records.columns(project.data, "test")
    lines = [json.dumps({"text": f"<script>{text}", "label": label}) for text, label in zip(texts, labels, strict=True)]
    Path("data/test.jsonl").write_text("\n".join(lines))
    candidate(project, "train-bad", texts, labels[1:] + labels[:1])
    verb("evaluate", project)

    page = Path("reports/evaluation/index.html").read_text()
    assert "did not pass the gates" in page
    assert "<script" not in page, "texts are no markup"
    assert "&lt;script&gt;" in page
    assert "http" not in page.replace("http-equiv", ""), "it needs nothing else"
    assert page.count("data:image/svg+xml") == 4
    client, run_id = tracking.mlflow_client(), tracking.run_id(project, "train-bad")
    assert {one.path for one in client.list_artifacts(run_id, "evaluation")} == {
        "evaluation/evaluation.json",
        "evaluation/index.html",
    }
    run = client.get_run(run_id)
    assert (run.info.status, run.data.tags["mlstack.gates"]) == ("FINISHED", "failed")
    assert (
        run.data.metrics["test.accuracy"]
        == json.loads(Path("reports/evaluation/evaluation.json").read_text())["models"]["candidate"]["scores"][
            "accuracy"
        ]["value"]
    )
