"""The training itself: plain torch. Ray Train, MLflow and checkpoints are around it, and it knows none of them."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mlstack.config import Training
from mlstack.errors import MlstackError
from mlstack.training import checkpoints
from mlstack.training.packing import Row, collate, epoch_rows
from mlstack.training.precision import autocast
from mlstack.training.task import Task

LOOK_STEPS = 10
"""So often the losses are fetched from a GPU: each fetch waits for all that it has to do."""
Micro = tuple[Row, ...]
"""The rows of one forward pass."""


@dataclass(frozen=True)
class Place:
    """Which of the processes that train together this one is."""

    rank: int = 0
    world: int = 1


ALONE = Place()


@dataclass(frozen=True)
class Step:
    """One step of the optimizer: the rows that all processes share, and the epoch that it belongs to."""

    epoch: int
    rows: tuple[Row, ...]
    rows_of_micro: int

    def of(self, place: Place) -> list[Micro]:
        """The forward passes of one process; every process has one at least."""
        mine = self.rows[place.rank :: place.world]
        return [mine[start : start + self.rows_of_micro] for start in range(0, len(mine), self.rows_of_micro)]

    def texts(self, place: Place = ALONE) -> list[int]:
        """The texts of one process; of all where there is one."""
        return [text for row in self.rows[place.rank :: place.world] for text in row]


def plan(lengths: Sequence[int], training: Training, world: int) -> list[Step]:
    """Every step of a training, in an order that the seed decides: the same in each process, and after a resume.

    An epoch's last rows are left out where there are fewer of them than processes.
    """
    rows_of_micro = max(1, training.batch_tokens // training.row_tokens)
    rows_of_step = rows_of_micro * training.accumulate * world
    steps = []
    for epoch in range(training.epochs):
        rows = epoch_rows(lengths, training.row_tokens, training.seed, epoch)
        shares = (tuple(rows[start : start + rows_of_step]) for start in range(0, len(rows), rows_of_step))
        steps += [Step(epoch, share, rows_of_micro) for share in shares if len(share) >= world]
    return steps


class Loop:
    """A training that can go on where it was stopped.

    Args:
        task: the model and what it learns.
        training: how.
        device: where the model is.
        place: of this process among those that train together.
        report: hears of metrics, with the step.
        store: where checkpoints go; None where another process writes them.
        forward: `task.model`, or what compiles or distributes it.
    """

    def __init__(
        self, task: Task, training: Training, device: torch.device, place: Place,
        report: Callable[[Mapping[str, float], int], None], store: checkpoints.Checkpoints | None,
        forward: nn.Module | None = None,
    ) -> None:  # fmt: skip
        self._task, self._training, self._device, self._place = task, training, device, place
        self._report, self._store, self._forward = report, store, forward or task.model
        self._optimizer = torch.optim.AdamW(task.groups(), fused=device.type in ("cpu", "cuda"))
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self.steps = plan(task.train.lengths(), training, place.world)
        self.done = 0
        self._unseen: list[tuple[int, Tensor]] = []
        self._tokens, self._since = 0, time.monotonic()
        self._saved = time.monotonic()

    def resume(self, checkpoint: checkpoints.Checkpoint) -> None:
        """Go on from a checkpoint."""
        checkpoints.restore(checkpoint, self._task.model, self._optimizer)
        self.done = checkpoint.step

    def run(self, after_epoch: Callable[[int, Mapping[str, float]], None] = lambda _epoch, _metrics: None) -> None:
        """Train to the end, or from where `resume` left it.

        Args:
            after_epoch: hears the number of each epoch that ended, from 1, and the metrics on the validation split.

        Raises:
            MlstackError: where the loss is no number; the texts of that step are named.
        """
        self._forward.train()
        for step in self.steps[self.done :]:
            self.learn(step)
            if self._ends_epoch(step) and self._place.rank == 0:
                after_epoch(step.epoch + 1, self._validate())
            self._maybe_save()

    def learn(self, step: Step) -> None:
        """The next step; its loss is looked at, and reported, at once on a processor and now and then on a GPU."""
        self._learn(step)
        self.done += 1
        if self.done % LOOK_STEPS == 0 or self._ends_epoch(step) or self._device.type == "cpu":
            self._look()

    def _ends_epoch(self, step: Step) -> bool:
        return self.done == len(self.steps) or self.steps[self.done].epoch != step.epoch

    def _learn(self, step: Step) -> None:
        """One step of the optimizer."""
        number = self.done
        # Dice are thrown anew for each step and process: what a resumed training draws is what the first one drew.
        torch.manual_seed((self._training.seed * 1_000_003 + number) * self._place.world + self._place.rank)
        # Of the mean over all processes' texts; distributed training takes the mean of the processes' gradients.
        weight = self._task.weight(step.texts()) / self._place.world
        total = torch.zeros((), device=self._device)
        for micro, sync in self._with_sync(step.of(self._place)):
            batch = collate(micro, self._task.train.tokens, self._training.row_tokens).to(self._device)
            with sync, autocast(self._training.precision, self._device):
                loss = self._task.loss(self._forward, batch) / weight
                loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
            self._tokens += sum(len(self._task.train.tokens[text]) for text in batch.texts)
        nn.utils.clip_grad_norm_(self._task.model.parameters(), self._training.clip_norm)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * self._rate_factor(number)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._unseen.append((number, total))

    def _with_sync(self, micros: Sequence[Micro]) -> Iterator[tuple[Micro, contextlib.AbstractContextManager[None]]]:
        """Gradients travel between processes with the last forward pass alone."""
        for place, micro in enumerate(micros, 1):
            hold = getattr(self._forward, "no_sync", contextlib.nullcontext)
            yield micro, (contextlib.nullcontext() if place == len(micros) else hold())

    def _rate_factor(self, number: int) -> float:
        """Grows linearly during the warm-up, then falls to 0 along a cosine."""
        warmup = max(1, round(self._training.warmup * len(self.steps)))
        if number < warmup:
            return (number + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (number - warmup) / max(1, len(self.steps) - warmup)))

    def _look(self) -> None:
        """Fetch the losses since the last look: report them, and stop where one is no number."""
        losses = torch.stack([loss for _, loss in self._unseen]).tolist()
        for (number, _), loss in zip(self._unseen, losses, strict=True):
            if not math.isfinite(loss):
                raise self._no_number(number, loss)
        elapsed = time.monotonic() - self._since
        metrics = {"loss": sum(losses) / len(losses), "tokens_per_second": self._tokens / elapsed}
        self._report(metrics | {"learning_rate": self._optimizer.param_groups[0]["lr"]}, self.done)
        self._unseen, self._tokens, self._since = [], 0, time.monotonic()

    def _no_number(self, number: int, loss: float) -> MlstackError:
        texts = self.steps[number].texts(self._place)
        return MlstackError(
            f"the loss is {loss} at step {number + 1} of {len(self.steps)}; its batch holds texts {texts} of train",
            "Look at these texts; where they are sound, lower training.learning_rate or set training.precision=fp32.",
        )

    def _validate(self) -> Mapping[str, float]:
        metrics = self._task.validate()
        self._report(metrics, self.done)
        self._since = time.monotonic()
        return metrics

    def _maybe_save(self) -> None:
        """A checkpoint where its time has come, never of a model whose losses nobody looked at."""
        due = time.monotonic() - self._saved >= self._training.checkpoint_seconds
        if self._store is None or not due or self.done == len(self.steps):
            return
        if self._unseen:
            self._look()
        if self._store.save(checkpoints.capture(self.done, self._task.model, self._optimizer)):
            self._saved = time.monotonic()
