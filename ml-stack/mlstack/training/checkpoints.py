"""Checkpoints as safetensors files, written beside the training by a thread, each whole or not at all."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mlstack.progress import say

KEPT = 2
"""The newest ones that are kept: the last may be on a disk that just broke."""


@dataclass(frozen=True)
class Checkpoint:
    """What training goes on from.

    step     optimizer steps that were done
    tensors  `model.NAME` of what is trained, `optimizer.NUMBER.KEY` of the optimizer's state
    """

    step: int
    tensors: Mapping[str, Tensor]


class Checkpoints:
    """The checkpoints of a run.

    Args:
        folder: made where it is missing; what was left half-written there is removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: threading.Thread | None = None
        self.fault = ""
        folder.mkdir(parents=True, exist_ok=True)
        for partial in folder.glob("*.partial"):
            partial.unlink()

    def latest(self) -> Checkpoint | None:
        """The newest one that can be read."""
        for path in reversed(self._files()):
            try:
                return _read(path)
            except (SafetensorError, OSError, ValueError) as error:
                say(f"{path.name} cannot be read, the one before is taken: {error}")
        return None

    def save(self, checkpoint: Checkpoint) -> bool:
        """Copy the tensors now and write them meanwhile; False while the one before is still being written."""
        if self._writer and self._writer.is_alive():
            return False
        copied = {
            name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in checkpoint.tensors.items()
        }
        self._writer = threading.Thread(target=self._write, args=[Checkpoint(checkpoint.step, copied)])
        self._writer.start()
        return True

    def wait(self) -> None:
        """Until what is being written is there."""
        if self._writer:
            self._writer.join()

    def _write(self, checkpoint: Checkpoint) -> None:
        path = self._folder / f"step-{checkpoint.step:09}.safetensors"
        partial = path.with_suffix(".partial")
        try:
            save_file(dict(checkpoint.tensors), partial, metadata={"step": json.dumps(checkpoint.step)})
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            partial.replace(path)
        except (OSError, SafetensorError) as error:  # safetensors wraps what the system says
            partial.unlink(missing_ok=True)
            self.fault = f"checkpoint at step {checkpoint.step} could not be written: {error}"
            say(f"{self.fault}; the one before is kept, and training goes on")
            return
        self.fault = ""
        for old in self._files()[:-KEPT]:
            old.unlink()

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("step-*.safetensors"))


def capture(step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> Checkpoint:
    """What a training is at this step; frozen weights are the pretrained checkpoint's, and left out."""
    tensors = {f"model.{name}": tensor for name, tensor in _trained(model).items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{key}": value for key, value in state.items()}
    return Checkpoint(step, tensors)


def restore(checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Make model and optimizer what they were."""
    state: dict[int, dict[str, Tensor]] = {}
    trained = _trained(model)
    with torch.no_grad():
        for name, tensor in checkpoint.tensors.items():
            part, _, rest = name.partition(".")
            if part == "model":
                trained[rest].copy_(tensor)
            else:
                number, _, key = rest.partition(".")
                state.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _trained(model: nn.Module) -> dict[str, Tensor]:
    """By name: parameters that are trained, each once however often it is used."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _read(path: Path) -> Checkpoint:
    with safe_open(path, framework="pt") as file:
        names = file.keys()
        return Checkpoint(json.loads(file.metadata()["step"]), {name: file.get_tensor(name) for name in names})
