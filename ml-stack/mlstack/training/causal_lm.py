"""Chat-formatted fine-tuning of a causal language model: all its weights, or adapters beside frozen ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from mlstack import checkpoint_source
from mlstack.config import Config
from mlstack.errors import UsageError
from mlstack.model_card import Kind
from mlstack.progress import progress
from mlstack.training import chats, lora
from mlstack.training.packing import Batch, collate, pack
from mlstack.training.precision import autocast, wants_bf16
from mlstack.training.task import Examples


class ChatModel(nn.Module):
    """A language model: packed rows in, the sum of the losses out."""

    def __init__(self, lm: Any) -> None:
        super().__init__()
        self.lm: Any = lm  # a PreTrainedModel

    def forward(self, batch: Batch, targets: Tensor) -> Tensor:
        """The sum of the cross entropies, in float32; scores are made where there is a target only."""
        states = self.states(batch)
        learned = targets != chats.NO_TARGET
        scores = self.lm.get_output_embeddings()(states[learned])
        return nn.functional.cross_entropy(scores.float(), targets[learned], reduction="sum")

    def states(self, batch: Batch) -> Tensor:
        """The last states of each token, (rows, length, hidden)."""
        mask = batch.mask
        if mask is None:  # causal attention's fast path, which transformers leaves where it is told positions
            found = self.lm.base_model(input_ids=batch.ids, use_cache=False)
        else:
            found = self.lm.base_model(
                input_ids=batch.ids, position_ids=batch.positions, attention_mask=mask.tril(), use_cache=False
            )
        states: Tensor = found.last_hidden_state
        return states


class CausalLm:
    """The task: what training asks of it (task.Task)."""

    kind: Kind = "causal-lm"
    labels: tuple[str, ...] = ()

    def __init__(self, config: Config, splits: Mapping[str, tuple[list[Any], list[str]]], device: torch.device) -> None:
        self.source = checkpoint_source.folder(config.model.checkpoint)
        self.tokenizer = tokenizer(self.source)
        self.device, self._config = device, config
        self.train, self.validation = (self._examples(splits, name) for name in ("train", "validation"))
        self.model = ChatModel(self._lm()).to(device)

    def start(self) -> None:
        """Give the adapters the weights that the seed decides."""
        torch.manual_seed(self._config.training.seed)
        lora.reset(self.model)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The sum of the losses of what the assistant says."""
        found: Tensor = model(batch, self._targets(self.train, batch))
        return found

    def weight(self, texts: Sequence[int]) -> int:
        """One loss a token of the assistant's."""
        return sum(one != chats.NO_TARGET for text in texts for one in self.train.targets[text])

    def groups(self) -> list[dict[str, Any]]:
        """What is not frozen; biases and norms do not decay."""
        training = self._config.training
        trained = [one for one in self.model.parameters() if one.requires_grad]
        kinds = ((training.weight_decay, True), (0.0, False))
        groups = [
            {"params": [one for one in trained if (one.dim() > 1) is matrix], "weight_decay": decay}
            for decay, matrix in kinds
        ]
        return [{"lr": training.learning_rate, **group} for group in groups if group["params"]]

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The mean loss of a token of the assistant's on the validation split, and its perplexity."""
        training, examples = self._config.training, self.validation
        was_training, total = self.model.training, 0.0
        self.model.eval()
        rows = pack(range(len(examples.tokens)), examples.lengths(), training.row_tokens)
        size = max(1, training.batch_tokens // training.row_tokens)
        with progress("Validating", len(rows), "rows") as told:
            for start in range(0, len(rows), size):
                batch = collate(rows[start : start + size], examples.tokens, training.row_tokens).to(self.device)
                with autocast(training.precision, self.device):
                    total += float(self.model(batch, self._targets(examples, batch)))
                told.advance(len(rows[start : start + size]))
        self.model.train(was_training)
        loss = total / sum(one != chats.NO_TARGET for text in examples.targets for one in text)
        return {"validation.loss": loss, "validation.perplexity": math.exp(min(loss, 100.0))}

    def save(self, folder: Path) -> None:
        """The adapters alone where there are some, as PEFT's; all weights otherwise, as Hugging Face's."""
        self.tokenizer.save_pretrained(folder)
        wanted = self._config.model.lora
        if wanted:
            lora.save(self.model.lm, wanted, str(self.source.resolve()), folder)
        else:
            self.model.lm.save_pretrained(folder)

    def _examples(self, splits: Mapping[str, tuple[list[Any], list[str]]], name: str) -> Examples:
        model, training = self._config.model, self._config.training
        return chats.examples(self.tokenizer, splits[name][0], min(model.max_tokens, training.row_tokens), name)

    def _targets(self, examples: Examples, batch: Batch) -> Tensor:
        """By place in the batch; segments are numbered in the order of its places."""
        said = torch.tensor([one for text in batch.texts for one in examples.targets[text]], device=self.device)
        targets = torch.full_like(batch.ids, chats.NO_TARGET)
        targets[batch.segments >= 0] = said
        return targets

    def _lm(self) -> Any:
        wanted, training = self._config.model.lora, self._config.training
        # Frozen weights are kept in what they are multiplied in; those that are trained need float32's small steps.
        half = wanted and wants_bf16(training.precision, self.device)
        lm = language_model(self.source, torch.bfloat16 if half else torch.float32)
        window = getattr(lm.config, "sliding_window", None) if getattr(lm.config, "use_sliding_window", True) else None
        if window and min(self._config.model.max_tokens, training.row_tokens) > window:
            raise UsageError(
                f"model.max_tokens: {self._config.model.checkpoint} looks back only {window} tokens",
                f"Set model.max_tokens to {window} or less.",
            )
        if wanted:
            lora.add(lm, wanted)
        if training.recompute:
            lm.activation_checkpointing_enable({"use_reentrant": False})
        return lm


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """A trained model, its adapters merged into the checkpoint that they belong to."""
    if not (folder / lora.CONFIG).is_file():
        return language_model(folder, dtype).eval()
    lm = language_model(lora.base(folder), dtype)
    lora.load(lm, folder)
    lora.merge(lm)
    return lm.eval()


def language_model(folder: Path, dtype: torch.dtype) -> Any:
    """A checkpoint's model; attention is torch's own, which takes the masks of packed rows."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa")


def tokenizer(folder: Path) -> Any:
    """A checkpoint's tokenizer, with a chat template in any case."""
    found = AutoTokenizer.from_pretrained(folder)
    if not found.chat_template:
        found.chat_template = chats.TEMPLATE
    return found
