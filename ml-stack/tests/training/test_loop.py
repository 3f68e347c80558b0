"""The loop: a training that was stopped goes on bit for bit; a loss that is no number stops it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from mlstack.errors import MlstackError
from mlstack.training import checkpoints
from mlstack.training.checkpoints import Checkpoints
from mlstack.training.loop import Loop, Place, plan
from tests.training.tiny import TRAINING, Tiny

CPU = torch.device("cpu")


def _loop(task: Tiny, store: Checkpoints | None = None, heard: list[Mapping[str, float]] | None = None) -> Loop:
    def report(metrics: Mapping[str, float], _step: int) -> None:
        if heard is not None:
            heard.append(metrics)

    return Loop(task, TRAINING, CPU, Place(), report, store)


def _weights(task: Tiny) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in task.model.parameters()]


def test_a_resumed_training_ends_as_one_that_never_stopped(tmp_path: Path) -> None:
    whole = Tiny()
    _loop(whole).run()
    first, store = Tiny(), Checkpoints(tmp_path)
    stopped = _loop(first)
    for step in stopped.steps[:5]:
        stopped.learn(step)  # as far as a kill lets it come
    assert store.save(checkpoints.capture(stopped.done, first.model, stopped._optimizer))
    store.wait()
    second = Tiny(seed=99)  # other weights, which the checkpoint replaces
    resumed, found = _loop(second), Checkpoints(tmp_path).latest()
    assert found is not None
    resumed.resume(found)
    resumed.run()
    assert all(torch.equal(one, other) for one, other in zip(_weights(whole), _weights(second), strict=True))


def test_the_loss_falls() -> None:
    heard: list[Mapping[str, float]] = []
    task = Tiny()
    Loop(task, TRAINING.model_copy(update={"epochs": 30}), CPU, Place(), lambda m, _s: heard.append(m), None).run()
    losses = [metrics["loss"] for metrics in heard if "loss" in metrics]
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


def test_a_loss_that_is_no_number_stops_and_names_the_texts() -> None:
    task = Tiny()
    task.spoiled = 17
    with pytest.raises(MlstackError, match=r"the loss is nan at step \d+ of \d+; its batch holds texts \[.*\b17\b"):
        _loop(task).run()


def test_no_checkpoint_holds_what_a_bad_loss_made(tmp_path: Path) -> None:
    task = Tiny()
    task.spoiled = 17
    store = Checkpoints(tmp_path)
    every = TRAINING.model_copy(update={"checkpoint_seconds": 1e-9})
    loop = Loop(task, every, CPU, Place(), lambda _m, _s: None, store)
    with pytest.raises(MlstackError):
        loop.run()
    store.wait()
    found = store.latest()
    assert found is None or all(bool(tensor.isfinite().all()) for tensor in found.tensors.values())


def test_accumulated_gradients_are_those_of_one_large_batch() -> None:
    one, many = Tiny(), Tiny()
    for task, training in (
        (one, TRAINING.model_copy(update={"batch_tokens": 128, "accumulate": 1})),
        (many, TRAINING.model_copy(update={"batch_tokens": 32, "accumulate": 4})),
    ):
        task.model[1].p = 0.0  # dice fall otherwise for each forward pass
        Loop(task, training, CPU, Place(), lambda _m, _s: None, None).run()
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(_weights(one), _weights(many), strict=True))


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_share_the_rows_of_each_step(world: int) -> None:
    lengths = Tiny().train.lengths()
    steps = plan(lengths, TRAINING, world)
    for step in steps:
        shares = [step.texts(Place(rank, world)) for rank in range(world)]
        assert all(shares)
        assert sorted(text for share in shares for text in share) == sorted(step.texts())
    first = [text for step in steps if step.epoch == 0 for text in step.texts()]
    assert len(set(first)) == len(first)
    assert len(lengths) - len(first) < 10 * world
