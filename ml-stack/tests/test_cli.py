"""The command: help that teaches, errors that say what to do, exit statuses that tell them apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlstack import cli


@pytest.mark.parametrize("verb", cli.VERBS)
def test_each_verb_helps_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, "--help"])
    assert ended.value.code == 0
    assert f"example:\n  mlstack {verb}" in capsys.readouterr().out


def test_a_wrong_params_file_is_asked_for_wrongly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["validate"]) == 2
    assert "error: params.yaml cannot be read" in capsys.readouterr().err


def test_an_error_is_json_where_json_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("data: {folder: nowhere}")
    assert cli.main(["validate", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert "nowhere.dvc is missing" in told["error"]
    assert "mlstack data add" in told["remedy"]


def test_data_that_is_unfit_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("data: {folder: d}")
    (tmp_path / "d").mkdir()
    for split in ("train", "validation", "test"):
        (tmp_path / "d" / f"{split}.jsonl").write_text('{"text": "the same", "label": "a"}\n')
    (tmp_path / "d.dvc").write_text("outs: [{md5: 0.dir, path: d}]")
    assert cli.main(["validate", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [check["name"] for check in told["checks"] if check["status"] == "failed"] == ["data.no_leakage"]
    page = (tmp_path / "reports/validation/index.html").read_text()
    assert "The data is not fit to be learned from" in page


@pytest.mark.parametrize("words", [["data", "add"], ["data", "pull", "x"]])
def test_a_source_belongs_to_add_alone(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("")
    assert cli.main(words) == 2
    assert "SOURCE" in capsys.readouterr().err
