"""params.yaml: what is wrong is named before anything begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlstack import config
from mlstack.errors import UsageError


def _read(folder: Path, text: str, *settings: str) -> config.Config:
    (folder / "params.yaml").write_text(text)
    return config.read(folder / "params.yaml", settings)


def test_an_unknown_key_is_named_with_its_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown key 'training\.epoch', did you mean 'training\.epochs'\?"):
        _read(tmp_path, "training: {epoch: 3}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("training: {epochs: 0}", r"training\.epochs"),
        ("training: {epochs: many}", r"training\.epochs"),
        ("judgement: {metric: f1}", r"judgement\.metric"),
        ("serving: {port: 70000}", r"serving\.port"),
        ("- a\n- b", "holds no sections"),
        ("a: [", "is no YAML"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        _read(tmp_path, text)


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"(?s)training\.epochs.*serving\.port"):
        _read(tmp_path, "training: {epochs: 0}\nserving: {port: 0}")


def test_settings_stand_over_the_file(tmp_path: Path) -> None:
    found = _read(tmp_path, "training: {epochs: 3}", "training.epochs=1", "model.lora.rank=4")
    assert (found.training.epochs, found.model.lora and found.model.lora.rank) == (1, 4)


@pytest.mark.parametrize("setting", ["epochs=1", "training.epochs", "training.epoch=1"])
def test_a_wrong_setting_is_named(tmp_path: Path, setting: str) -> None:
    with pytest.raises(UsageError, match="epoch"):
        _read(tmp_path, "", setting)


def test_the_examples_own_file_is_valid() -> None:
    config.read(Path(__file__).parent.parent / "params.yaml")
