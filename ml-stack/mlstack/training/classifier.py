"""Text classification: a pretrained encoder, the mean of its last states, and a linear head.

The head starts as a linear probe of the frozen encoder, so that fine-tuning does not first undo what pretraining
learned (https://arxiv.org/abs/2202.10054).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging

from mlstack import checkpoint_source, model_card
from mlstack.config import Config
from mlstack.model_card import Kind
from mlstack.progress import progress
from mlstack.training.packing import Batch, collate, pack
from mlstack.training.precision import autocast
from mlstack.training.task import Examples

PREDICT_ROWS = 16
PROBE_STRENGTH = 10.0
"""The inverse of the probe's regularisation; an encoder's states are small in each place."""


class Classifier(nn.Module):
    """An encoder and its head: packed rows in, one row of scores out for each text."""

    head: nn.Linear

    def __init__(self, encoder: Any, labels: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, labels)

    def forward(self, batch: Batch) -> Tensor:
        """Scores in float32, (texts, labels)."""
        scores: Tensor = self.head(self.dropout(self.embed(batch)))
        return scores

    def embed(self, batch: Batch) -> Tensor:
        """The mean of the last states of each text, (texts, hidden)."""
        states: Tensor = self.encoder(
            input_ids=batch.ids, position_ids=batch.positions, attention_mask=batch.mask
        ).last_hidden_state
        real = batch.segments >= 0
        segments = batch.segments[real]
        sums = states.new_zeros(len(batch.texts), states.shape[-1], dtype=torch.float32)
        sums = sums.index_add(0, segments, states[real].float())
        return sums / torch.bincount(segments, minlength=len(batch.texts))[:, None]


class TextClassification:
    """The task: what training asks of it (task.Task)."""

    kind: Kind = "transformer"

    def __init__(self, config: Config, splits: Mapping[str, tuple[list[str], list[str]]], device: torch.device) -> None:
        source = checkpoint_source.folder(config.model.checkpoint)
        self.labels = tuple(sorted(set(splits["train"][1])))
        self.tokenizer = AutoTokenizer.from_pretrained(source)
        self.device, self._config = device, config
        self.train, self.validation = (self._examples(*splits[name]) for name in ("train", "validation"))
        self.model = Classifier(_encoder(source), len(self.labels), config.training.dropout).to(device)

    def start(self) -> None:
        """Give the head the weights of a linear probe."""
        from sklearn.linear_model import LogisticRegression

        states = self._each(self.train, self.model.embed, "Probing the encoder").numpy()
        probe = LogisticRegression(C=PROBE_STRENGTH, max_iter=1000).fit(states, np.asarray(self.train.targets))
        weights, bias = probe.coef_, probe.intercept_
        if len(self.labels) == 2:  # scikit-learn keeps the scores of one of two
            weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
        with torch.no_grad():
            self.model.head.weight.copy_(torch.from_numpy(weights))
            self.model.head.bias.copy_(torch.from_numpy(bias))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The sum of the texts' cross entropies."""
        targets = torch.tensor([self.train.targets[text] for text in batch.texts], device=self.device)
        return nn.functional.cross_entropy(model(batch), targets, reduction="sum")

    def weight(self, texts: Sequence[int]) -> int:
        """One loss a text."""
        return len(texts)

    def groups(self) -> list[dict[str, Any]]:
        """The encoder learns slowly, the head fast; biases and norms do not decay."""
        training = self._config.training
        rates = ((self.model.encoder, training.learning_rate), (self.model.head, training.head_learning_rate))
        return [
            {"params": chosen, "lr": rate, "weight_decay": decay}
            for part, rate in rates
            for decay, chosen in (
                (training.weight_decay, [one for one in part.parameters() if one.dim() > 1]),
                (0.0, [one for one in part.parameters() if one.dim() <= 1]),
            )
        ]

    def validate(self) -> dict[str, float]:
        """Loss, accuracy and macro F1 on the validation split."""
        from sklearn.metrics import f1_score

        scores = self._each(self.validation, self.model, "Validating")
        targets = torch.tensor(list(self.validation.targets))
        found = scores.argmax(dim=1)
        return {
            "validation.loss": float(nn.functional.cross_entropy(scores, targets)),
            "validation.accuracy": float((found == targets).float().mean()),
            "validation.macro_f1": float(f1_score(targets, found, average="macro", zero_division=0)),
        }

    def save(self, folder: Path) -> None:
        """The encoder as Hugging Face's, the head within its own file."""
        from safetensors.torch import save_file

        self.model.encoder.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        head = {name: tensor.detach().cpu().contiguous() for name, tensor in self.model.head.state_dict().items()}
        save_file(head, folder / "head.safetensors")

    def _examples(self, texts: list[str], labels: list[str]) -> Examples:
        numbers = {label: number for number, label in enumerate(self.labels)}
        return Examples(
            tokenize(self.tokenizer, texts, self._config.model.max_tokens), [numbers[one] for one in labels]
        )

    def _each(self, examples: Examples, work: Any, title: str) -> Tensor:
        tokens = examples.tokens
        return each(self.model, work, tokens, self._config.training.row_tokens, self._config, self.device, title)


class TransformerPredictor:
    """A trained classifier as it is served (predictor.Predictor)."""

    def __init__(self, folder: Path, device: torch.device | None = None) -> None:
        from safetensors.torch import load_file

        card = model_card.read(folder)
        self.labels = card.labels
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._tokenizer, self._max_tokens = AutoTokenizer.from_pretrained(folder), card.max_tokens
        self._model = Classifier(_encoder(folder), len(card.labels), dropout=0.0)
        self._model.head.load_state_dict(load_file(folder / "head.safetensors"))
        self._model.to(self.device).eval()

    def predict(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities, (texts, labels)."""
        if not texts:
            return np.zeros((0, len(self.labels)), dtype=np.float32)
        tokens = tokenize(self._tokenizer, list(texts), self._max_tokens)
        row_tokens = max(len(text) for text in tokens)
        scores = each(self._model, self._model, tokens, row_tokens, None, self.device, "")
        found: NDArray[np.float32] = scores.softmax(dim=1).numpy()
        return found


def load(folder: Path) -> TransformerPredictor:
    """The predictor of a model's folder."""
    return TransformerPredictor(folder)


def tokenize(tokenizer: Any, texts: list[str], max_tokens: int) -> list[list[int]]:
    """Token ids of each text, cut to so many."""
    found: list[list[int]] = tokenizer(texts, truncation=True, max_length=max_tokens)["input_ids"] if texts else []
    return found


@torch.no_grad()
def each(
    model: nn.Module, work: Any, tokens: Sequence[Sequence[int]], row_tokens: int,
    config: Config | None, device: torch.device, title: str,
) -> Tensor:  # fmt: skip
    """What `work` (the model, or a part of it) makes of each text, in the texts' order, as float32 on the processor."""
    was_training = model.training
    found: dict[int, Tensor] = {}
    model.eval()
    rows = pack(range(len(tokens)), [len(text) for text in tokens], row_tokens)
    with progress(title, len(tokens), "texts") if title else nullcontext() as told:  # who predicts counts for himself
        for start in range(0, len(rows), PREDICT_ROWS):
            batch = collate(rows[start : start + PREDICT_ROWS], tokens, row_tokens).to(device)
            with autocast(config.training.precision if config else "fp32", device):
                made = work(batch).float().cpu()
            found.update(zip(batch.texts, made, strict=True))
            if told:
                told.advance(len(batch.texts))
    model.train(was_training)
    return torch.stack([found[text] for text in range(len(tokens))])


def _encoder(source: Path) -> Any:
    """The encoder without its own dropout: it would take attention off its fast path (fourfold, on a processor)."""
    logging.disable_progress_bar()  # a small model is there before it could be read,
    logging.set_verbosity_error()  # and that its pooler has no weights is as it should be
    config = AutoConfig.from_pretrained(source)
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout"):
        if hasattr(config, name):
            setattr(config, name, 0.0)
    encoder: Any = AutoModel.from_pretrained(source, config=config, attn_implementation="sdpa")
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None  # its weights would get no gradient, which processes that train together wait for
    return encoder
