"""The tasks by their names in params.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from mlstack.config import Config
from mlstack.training.task import Task


def make(config: Config, splits: Mapping[str, tuple[list[Any], list[str]]], device: torch.device) -> Task:
    """The task that the configuration names, on a device; `splits` has the texts (or chats) and labels of each."""
    if config.model.task == "causal-lm":
        from mlstack.training.causal_lm import CausalLm

        return CausalLm(config, splits, device)
    from mlstack.training.classifier import TextClassification

    return TextClassification(config, splits, device)
