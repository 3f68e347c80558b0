"""Checkpoints: whole or not at all, and the last good one stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from mlstack.training import checkpoints
from mlstack.training.checkpoints import Checkpoint, Checkpoints


def _save(store: Checkpoints, step: int) -> None:
    assert store.save(Checkpoint(step, {"model.weight": torch.full((1000,), float(step))}))
    store.wait()


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    for step in (1, 2, 3):
        _save(store, step)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [f"step-{step:09}.safetensors" for step in (2, 3)]
    found = store.latest()
    assert found is not None
    assert (found.step, found.tensors["model.weight"][0].item()) == (3, 3.0)


def test_a_damaged_one_is_passed_over(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    _save(store, 1)
    _save(store, 2)
    newest = tmp_path / "step-000000002.safetensors"
    newest.write_bytes(newest.read_bytes()[:100])
    found = store.latest()
    assert found is not None
    assert found.step == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_leaves_the_last_good_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Checkpoints(tmp_path)
    _save(store, 1)

    def full(_tensors: object, path: Path, metadata: object) -> None:
        path.touch()
        with Path("/dev/full").open("wb", buffering=0) as disk:
            disk.write(b"x")

    monkeypatch.setattr(checkpoints, "save_file", full)
    _save(store, 2)
    assert "No space left" in store.fault
    found = store.latest()
    assert found is not None
    assert found.step == 1
    assert not list(tmp_path.glob("*.partial"))


def test_one_that_is_being_written_does_not_hold_up_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Checkpoints(tmp_path)
    read, write = os.pipe()
    monkeypatch.setattr(checkpoints, "save_file", lambda *_args, **_more: os.read(read, 1) and None)
    assert store.save(Checkpoint(1, {}))
    assert not store.save(Checkpoint(2, {}))
    os.write(write, b"x")
    store.wait()
