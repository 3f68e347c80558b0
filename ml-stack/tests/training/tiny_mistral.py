"""A Mistral of twenty thousand random weights, and chats that it learns in a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast

from mlstack.config import Config, parse

ANIMALS = ("cat", "dog", "cow", "hen", "fox", "owl", "pig", "rat")


def save(folder: Path, sliding_window: int | None = None) -> Path:
    """A checkpoint's folder: weights, configuration, and a tokenizer of the chats' own words."""
    torch.manual_seed(0)
    tokenizer = _tokenizer()
    shape = MistralConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, sliding_window=sliding_window, initializer_range=0.2,
        bos_token_id=1, eos_token_id=1, pad_token_id=0, tie_word_embeddings=True,
    )  # fmt: skip
    MistralForCausalLM(shape).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer() -> Any:
    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    words = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<unk>", "<end>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    made.train_from_iterator(
        [f"<|im_start|>{one['role']}\n{one['content']}<|im_end|>\n" for chat in chats(64) for one in chat], words
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", eos_token="<end>")


def chats(count: int) -> list[list[dict[str, str]]]:
    """Questions, each with its answer; some go on."""
    made = []
    for number in range(count):
        animal = ANIMALS[number % len(ANIMALS)]
        turns = 1 + number % 3 // 2
        made.append(
            [
                {"role": role, "content": content}
                for _ in range(turns)
                for role, content in (("user", f"who is number {number}?"), ("assistant", f"the {animal} it is"))
            ]
        )
    return made


def config(checkpoint: Path, state: Path, **training: object) -> Config:
    """A configuration that trains it by adapters."""
    settings = {"epochs": 2, "learning_rate": 0.03, "batch_tokens": 256, "row_tokens": 192, "precision": "fp32"}
    return parse(
        {
            "model": {"name": "tiny", "task": "causal-lm", "checkpoint": str(checkpoint), "lora": {"rank": 8}},
            "training": settings | training,
            "platform": {"state": str(state)},
        }
    )


def splits(count: int = 64) -> dict[str, tuple[list[object], list[str]]]:
    """What training and validation read."""
    return {"train": (list(chats(count)), []), "validation": (list(chats(16)), [])}


def data(folder: Path, count: int = 64) -> dict[str, str]:
    """The same as a versioned data set; returns the section `data` of params.yaml."""
    folder.mkdir(parents=True)
    for split, (found, _) in splits(count).items():
        (folder / f"{split}.jsonl").write_text("".join(json.dumps({"text": chat}) + "\n" for chat in found))
    folder.with_name(f"{folder.name}.dvc").write_text("outs:\n- md5: 0123456789abcdef0123456789abcdef.dir\n")
    return {"folder": str(folder), "text": "text", "label": ""}
