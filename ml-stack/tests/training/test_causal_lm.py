from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from mlstack.config import with_settings
from mlstack.errors import UsageError
from mlstack.training import causal_lm, chats
from mlstack.training.causal_lm import CausalLm
from mlstack.training.loop import Loop, Place
from mlstack.training.packing import collate
from mlstack.training.precision import autocast
from tests.training import tiny_mistral

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_mistral.save(tmp_path_factory.mktemp("tiny-mistral"))


@pytest.fixture(scope="module")
def tokenizer(checkpoint: Path) -> Any:
    return causal_lm.tokenizer(checkpoint)


def task(checkpoint: Path, tmp_path: Path, **training: object) -> CausalLm:
    made = CausalLm(tiny_mistral.config(checkpoint, tmp_path, **training), tiny_mistral.splits(), CPU)
    made.start()
    return made


def told(tokenizer: Any, chat: chats.Chat, max_tokens: int = 300) -> str:
    """What the assistant is taught to say."""
    _, targets = chats.encode(tokenizer, chat, max_tokens)
    return str(tokenizer.decode([one for one in targets if one != chats.NO_TARGET]))


def test_the_assistants_words_alone_are_learned(tokenizer: Any) -> None:
    chat = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "red"},
        {"role": "assistant", "content": "rose"},
        {"role": "user", "content": "blue"},
        {"role": "assistant", "content": "sky"},
    ]
    assert told(tokenizer, chat) == "rose<|im_end|>\nsky<|im_end|>\n"


def test_each_target_is_the_token_that_follows(tokenizer: Any) -> None:
    ids, targets = chats.encode(tokenizer, tiny_mistral.chats(1)[0], 200)
    assert all(target in (chats.NO_TARGET, follows) for target, follows in zip(targets, ids[1:], strict=False))
    assert targets[-1] == chats.NO_TARGET


def test_a_chat_cut_before_the_assistant_speaks_is_left_out_and_counted(
    tokenizer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    long = [{"role": "user", "content": "word " * 200}, {"role": "assistant", "content": "yes"}]
    found = chats.examples(tokenizer, [long, *tiny_mistral.chats(2)], 120, "train")
    assert len(found.tokens) == 2
    assert "1 of 3 chats of train" in capsys.readouterr().err


@pytest.mark.parametrize("chat", [["text"], [{"role": "user"}], "text", 3])
def test_what_is_no_chat_is_refused(tokenizer: Any, chat: object) -> None:
    with pytest.raises(UsageError, match="chat 0 of train"):
        chats.examples(tokenizer, [chat], 120, "train")


def test_a_template_that_changes_earlier_turns_is_refused(checkpoint: Path) -> None:
    tokenizer = causal_lm.tokenizer(checkpoint)
    tokenizer.chat_template = "{{ messages | length }}{% for one in messages %}{{ one.content }}{% endfor %}"
    with pytest.raises(UsageError, match="writes a turn otherwise"):
        chats.examples(tokenizer, tiny_mistral.chats(1), 120, "train")


def test_packed_rows_give_the_loss_of_each_chat_alone(checkpoint: Path, tmp_path: Path) -> None:
    made, texts = task(checkpoint, tmp_path), (0, 2, 5)
    tokens = made.train.tokens
    made.model.eval()
    packed = made.loss(made.model, collate([texts[:2], texts[2:]], tokens, 192)).item()
    alone = [made.loss(made.model, collate([(text,)], tokens, len(tokens[text]))) for text in texts]
    assert packed == pytest.approx(sum(one.item() for one in alone), rel=1e-5)


def test_the_loss_is_hugging_faces_own(checkpoint: Path, tmp_path: Path) -> None:
    made = task(checkpoint, tmp_path)
    ids, targets = torch.tensor(made.train.tokens[0]), made.train.targets[0]
    labels = torch.tensor([chats.NO_TARGET, *targets[:-1]])
    mean = made.model.lm(input_ids=ids[None], labels=labels[None]).loss
    ours = made.loss(made.model, collate([(0,)], made.train.tokens, 192)) / made.weight([0])
    torch.testing.assert_close(ours, mean)


def test_training_lowers_the_loss_and_leaves_frozen_weights(checkpoint: Path, tmp_path: Path) -> None:
    made = task(checkpoint, tmp_path, epochs=4)
    frozen = {name: one.clone() for name, one in made.model.named_parameters() if not one.requires_grad}
    before = made.validate()["validation.loss"]
    losses: list[float] = []

    def report(metrics: Mapping[str, float], _step: int) -> None:
        losses.extend(value for name, value in metrics.items() if name == "loss")

    Loop(made, tiny_mistral.config(checkpoint, tmp_path, epochs=4).training, CPU, Place(), report, None).run()
    assert losses[-1] < 0.8 * losses[0]
    assert made.validate()["validation.loss"] < 0.8 * before
    weights = dict(made.model.named_parameters())
    assert all(torch.equal(weights[name], value) for name, value in frozen.items())


def test_a_saved_model_gives_the_same_once_loaded_and_merged(checkpoint: Path, tmp_path: Path) -> None:
    made = task(checkpoint, tmp_path)
    Loop(made, tiny_mistral.config(checkpoint, tmp_path).training, CPU, Place(), lambda *_: None, None).run()
    (tmp_path / "model").mkdir()
    made.save(tmp_path / "model")
    made.model.eval()
    ids = torch.tensor([made.train.tokens[0]])
    merged, plain = causal_lm.load(tmp_path / "model"), causal_lm.load(checkpoint)
    expected = made.model.lm(input_ids=ids).logits
    torch.testing.assert_close(merged(input_ids=ids).logits, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(plain(input_ids=ids).logits, expected, atol=1e-2)
    assert causal_lm.tokenizer(tmp_path / "model").chat_template == chats.TEMPLATE


def test_recomputed_activations_give_the_same_gradients(checkpoint: Path, tmp_path: Path) -> None:
    def gradients(recompute: bool) -> list[torch.Tensor]:
        made = task(checkpoint, tmp_path, recompute=recompute)
        made.model.train()
        made.loss(made.model, collate([(0, 1)], made.train.tokens, 192)).backward()  # type: ignore[no-untyped-call]
        return [one.grad for one in made.model.parameters() if one.grad is not None]

    torch.testing.assert_close(gradients(recompute=True), gradients(recompute=False))


def test_frozen_weights_are_kept_in_bf16_where_they_are_multiplied_in_it(checkpoint: Path, tmp_path: Path) -> None:
    def loss(precision: Literal["bf16", "fp32"]) -> float:
        made = task(checkpoint, tmp_path, precision=precision)
        kinds = {(one.requires_grad, one.dtype) for one in made.model.parameters()}
        frozen = torch.bfloat16 if precision == "bf16" else torch.float32
        assert kinds == {(True, torch.float32), (False, frozen)}
        with autocast(precision, CPU):
            return made.loss(made.model, collate([(0, 1)], made.train.tokens, 192)).item()

    assert loss("bf16") == pytest.approx(loss("fp32"), rel=0.02)


def test_all_weights_are_trained_without_adapters(checkpoint: Path, tmp_path: Path) -> None:
    config = with_settings(tiny_mistral.config(checkpoint, tmp_path), {"model.lora": None})
    made = CausalLm(config, tiny_mistral.splits(8), CPU)
    grouped = [one for group in made.groups() for one in group["params"]]
    assert {id(one) for one in grouped} == {id(one) for one in made.model.parameters()}
    (tmp_path / "model").mkdir()
    made.save(tmp_path / "model")
    assert json.loads((tmp_path / "model" / "config.json").read_text())["model_type"] == "mistral"


def test_texts_longer_than_what_the_model_looks_back_are_refused(tmp_path: Path) -> None:
    narrow = tiny_mistral.save(tmp_path / "narrow", sliding_window=64)
    with pytest.raises(UsageError, match="looks back only 64 tokens"):
        CausalLm(tiny_mistral.config(narrow, tmp_path), tiny_mistral.splits(8), CPU)
