"""What the loop asks of a task: a model, the examples, and the loss of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from mlstack.model_card import Kind
from mlstack.training.packing import Batch


@dataclass(frozen=True)
class Examples:
    """Tokenized examples of a split.

    tokens   of each text, cut to the row's length
    targets  what is to be said of each: a label's number, or for each token the one to be said next (-100: none)
    """

    tokens: Sequence[Sequence[int]]
    targets: Sequence[Any]

    def lengths(self) -> list[int]:
        """Tokens of each text."""
        return [len(text) for text in self.tokens]


class Task(Protocol):
    """A model and what it learns; `loss` is plain torch."""

    kind: Kind
    labels: tuple[str, ...]
    train: Examples
    validation: Examples

    @property
    def model(self) -> nn.Module:
        """All that is trained."""

    def start(self) -> None:
        """Make the weights that pretraining did not give; a training that is resumed has them from its checkpoint."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The sum of the losses of a batch; `model` is `self.model`, or what compiles or distributes it."""

    def weight(self, texts: Sequence[int]) -> int:
        """By how much the sum over these texts of `train` is divided: how many losses it holds."""

    def groups(self) -> list[dict[str, Any]]:
        """The optimizer's groups of parameters with their learning rates."""

    def validate(self) -> Mapping[str, float]:
        """Metrics on the validation split, by name."""

    def save(self, folder: Path) -> None:
        """Write the model's weights, configuration and tokenizer."""
