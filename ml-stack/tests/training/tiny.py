"""A task small enough that a training takes a moment, made of the parts that real ones are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mlstack.config import Training
from mlstack.model_card import Kind
from mlstack.training.packing import Batch
from mlstack.training.task import Examples

TRAINING = Training(epochs=2, batch_tokens=64, row_tokens=32, learning_rate=0.01, precision="fp32", seed=3)


class Tiny:
    """Says whether a text's tokens add up to an odd number; with dropout, so that dice matter."""

    kind: Kind = "transformer"
    labels = ("even", "odd")

    def __init__(self, examples: int = 120, seed: int = 1) -> None:
        torch.manual_seed(seed)
        dice = torch.Generator().manual_seed(5)
        lengths = torch.randint(2, 20, (examples,), generator=dice).tolist()
        tokens = [torch.randint(1, 50, (length,), generator=dice).tolist() for length in lengths]
        self.train = self.validation = Examples(tokens, [sum(text) % 2 for text in tokens])
        self.model = nn.Sequential(nn.EmbeddingBag(50, 8), nn.Dropout(0.2), nn.Linear(8, 2))
        self.spoiled: int | None = None

    def start(self) -> None:
        """Nothing to make."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        real = batch.segments >= 0
        starts = torch.tensor([0, *torch.bincount(batch.segments[real]).cumsum(0).tolist()[:-1]])
        scores = model[2](model[1](model[0](batch.ids[real], starts)))  # type: ignore[index]
        if self.spoiled in batch.texts:
            scores = scores * float("nan")
        targets = torch.tensor([self.train.targets[text] for text in batch.texts])
        return nn.functional.cross_entropy(scores, targets, reduction="sum")

    def weight(self, texts: Sequence[int]) -> int:
        return len(texts)

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters()), "lr": 0.01}]

    def validate(self) -> Mapping[str, float]:
        return {"validation.loss": 1.0}

    def save(self, folder: Path) -> None:
        save_file(dict(self.model.state_dict()), folder / "model.safetensors")
