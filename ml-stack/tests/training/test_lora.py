from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from mlstack.config import Lora
from mlstack.errors import UsageError
from mlstack.training import lora

LORA = Lora(rank=4, alpha=8, modules=("q_proj", "up_proj"))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.up_proj, self.down_proj = nn.Linear(8, 8), nn.Linear(8, 16, bias=False), nn.Linear(16, 8)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.down_proj(self.up_proj(self.q_proj(given)))
        return result


@pytest.fixture
def given() -> torch.Tensor:
    return torch.randn(3, 8, generator=torch.Generator().manual_seed(1))


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict({"layer": Block()})


def adapted() -> Any:
    made = model()
    lora.add(made, LORA)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if name.endswith("lora_b"):
                weight.normal_()
    return made


def test_a_new_adapter_changes_nothing(given: torch.Tensor) -> None:
    plain: Any = model()
    before = plain["layer"](given)
    lora.add(plain, LORA)
    assert torch.equal(plain["layer"](given), before)


def test_the_adapters_of_the_named_modules_alone_are_trained() -> None:
    trained = {name for name, weight in adapted().named_parameters() if weight.requires_grad}
    assert trained == {f"layer.{module}.lora_{one}" for module in ("q_proj", "up_proj") for one in "ab"}


def test_merged_layers_are_plain_and_give_the_same(given: torch.Tensor) -> None:
    made = adapted()
    before = made["layer"](given)
    lora.merge(made)
    assert not any(isinstance(one, lora.LoraLinear) for one in made.modules())
    torch.testing.assert_close(made["layer"](given), before)


def test_saved_adapters_give_the_same_once_loaded(given: torch.Tensor, tmp_path: Path) -> None:
    made, again = adapted(), model()
    lora.save(made, LORA, "/checkpoints/base", tmp_path)
    lora.load(again, tmp_path)
    assert torch.equal(again["layer"](given), made["layer"](given))  # type: ignore[index]
    assert lora.base(tmp_path) == Path("/checkpoints/base")


def test_the_files_are_laid_out_as_those_of_peft(tmp_path: Path) -> None:
    lora.save(adapted(), LORA, "base", tmp_path)
    told = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (told["peft_type"], told["r"], told["lora_alpha"]) == ("LORA", 4, 8)
    shapes = {name: tuple(tensor.shape) for name, tensor in load_file(tmp_path / "adapter_model.safetensors").items()}
    assert shapes["base_model.model.layer.up_proj.lora_A.weight"] == (4, 8)
    assert shapes["base_model.model.layer.up_proj.lora_B.weight"] == (16, 4)


def test_a_module_that_the_checkpoint_lacks_is_named_with_those_it_has() -> None:
    with pytest.raises(UsageError, match="called v_proj") as caught:
        lora.add(model(), Lora(modules=("q_proj", "v_proj")))
    assert "down_proj, q_proj, up_proj" in caught.value.remedy


def test_adapters_of_another_model_are_refused(tmp_path: Path) -> None:
    lora.save(adapted(), LORA, "base", tmp_path)
    with pytest.raises(UsageError, match="other layers"):
        lora.load(nn.ModuleDict({"another": Block()}), tmp_path)


def test_an_adapter_beside_bf16_weights_is_kept_in_float32(given: torch.Tensor) -> None:
    made: Any = model().to(torch.bfloat16)
    lora.add(made, LORA)
    assert made["layer"].q_proj.lora_a.dtype == torch.float32
    assert made["layer"].q_proj(given.bfloat16()).dtype == torch.bfloat16
