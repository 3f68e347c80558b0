"""Low-rank adapters beside frozen linear layers (https://arxiv.org/abs/2106.09685), in files that PEFT reads too."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mlstack.config import Lora
from mlstack.errors import UsageError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
"""What PEFT's own classes put before the name of each layer."""


class LoraLinear(nn.Module):
    """A frozen linear layer W with an adapter: Wx + (alpha / rank) B A x. B starts as 0, and so does the adapter."""

    def __init__(self, base: nn.Linear, lora: Lora) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.dropout = nn.Dropout(lora.dropout) if lora.dropout else nn.Identity()
        self.scale = lora.alpha / lora.rank
        device = base.weight.device  # in float32 whatever the frozen weights are in: small steps are lost in bf16
        self.lora_a = nn.Parameter(torch.empty(lora.rank, base.in_features, device=device))
        self.lora_b = nn.Parameter(torch.empty(base.out_features, lora.rank, device=device))
        self.reset()

    def reset(self) -> None:
        """The weights at the begin, A's as of any linear layer."""
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))
        nn.init.zeros_(self.lora_b)

    def forward(self, given: Tensor) -> Tensor:
        """The layer's output, with the adapter's share."""
        seen = self.dropout(given)
        if not torch.is_autocast_enabled(given.device.type):
            seen = seen.to(self.lora_a.dtype)
        # A is scaled, not the output: it is the smallest of the three
        added = nn.functional.linear(nn.functional.linear(seen, self.lora_a * self.scale), self.lora_b)
        base: Tensor = self.base(given)
        return base + added.to(base.dtype)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The frozen layer, with the adapter added to its weights."""
        product = self.scale * (self.lora_b @ self.lora_a)
        self.base.weight.copy_(self.base.weight.float() + product)
        return self.base


def add(model: nn.Module, lora: Lora) -> None:
    """Freeze a model and give its layers of the named modules adapters. Raises UsageError where it has no such one."""
    model.requires_grad_(False)
    linear = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    chosen = {name: layer for name, layer in linear.items() if _last(name) in lora.modules}
    lacking = set(lora.modules) - {_last(name) for name in chosen}
    if lacking:
        raise UsageError(
            f"model.lora.modules: the checkpoint has no linear layers called {', '.join(sorted(lacking))}",
            f"It has {', '.join(sorted({_last(name) for name in linear}))}.",
        )
    for name, layer in chosen.items():
        model.set_submodule(name, LoraLinear(layer, lora))


def reset(model: nn.Module) -> None:
    """Every adapter's weights at the begin."""
    for _, layer in _adapted(model):
        layer.reset()


def merge(model: nn.Module) -> None:
    """Make every adapter part of its layer: the same output, by plain layers."""
    for name, layer in list(_adapted(model)):
        model.set_submodule(name, layer.merged())


def save(model: nn.Module, lora: Lora, base: str, folder: Path) -> None:
    """Write the adapters alone; `base` is the checkpoint that they belong to."""
    tensors = {
        f"{PREFIX}{name}.{key}.weight": weight.detach().cpu().contiguous()
        for name, layer in _adapted(model)
        for key, weight in (("lora_A", layer.lora_a), ("lora_B", layer.lora_b))
    }
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    told = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base, "r": lora.rank,
        "lora_alpha": lora.alpha, "lora_dropout": lora.dropout, "target_modules": list(lora.modules),
        "bias": "none", "fan_in_fan_out": False, "inference_mode": True,
    }  # fmt: skip
    (folder / CONFIG).write_text(json.dumps(told, indent=2) + "\n")


def base(folder: Path) -> Path:
    """The checkpoint that the adapters of a folder belong to."""
    return Path(json.loads((folder / CONFIG).read_text())["base_model_name_or_path"])


def load(model: nn.Module, folder: Path) -> None:
    """Give a model the adapters of a folder. Raises UsageError where they are not this model's."""
    told = json.loads((folder / CONFIG).read_text())
    modules = tuple(told["target_modules"])
    add(model, Lora(rank=told["r"], alpha=told["lora_alpha"], dropout=told["lora_dropout"], modules=modules))
    tensors = load_file(folder / WEIGHTS)
    names = {name.removeprefix(PREFIX).rsplit(".", 2)[0] for name in tensors}
    layers = dict(_adapted(model))
    if names != set(layers):
        raise UsageError(
            f"{folder} has adapters of other layers than this model's: {', '.join(sorted(names ^ set(layers))[:3])}",
            f"Load them with the checkpoint that they were trained on, {told['base_model_name_or_path']}.",
        )
    with torch.no_grad():
        for name, layer in layers.items():
            layer.lora_a.copy_(tensors[f"{PREFIX}{name}.lora_A.weight"])
            layer.lora_b.copy_(tensors[f"{PREFIX}{name}.lora_B.weight"])


def _adapted(model: nn.Module) -> Iterator[tuple[str, LoraLinear]]:
    return ((name, layer) for name, layer in model.named_modules() if isinstance(layer, LoraLinear))


def _last(name: str) -> str:
    return name.rpartition(".")[2]
