"""Chats as tokens, and which of them the assistant said: those alone are learned."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from typing import Any

from mlstack.errors import UsageError
from mlstack.progress import progress, say
from mlstack.training.task import Examples

NO_TARGET = -100
"""What torch's cross entropy leaves out."""
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""For a checkpoint that brings none (ChatML)."""
Chat = Sequence[Mapping[str, str]]


def examples(tokenizer: Any, chats: Sequence[Any], max_tokens: int, split: str) -> Examples:
    """Each chat's tokens, cut to so many, and for each token the next one where the assistant says it.

    Chats in which the assistant says nothing within the cut teach nothing; they are left out, and counted.

    Raises:
        UsageError: where a chat is none, or the template writes earlier turns otherwise once later ones follow.
    """
    tokens, targets = list[list[int]](), list[list[int]]()
    with progress(f"Reading the chats of {split}", len(chats), "chats") as told:
        for number, chat in enumerate(chats):
            ids, wanted = encode(tokenizer, _checked(chat, number, split), max_tokens)
            if any(one != NO_TARGET for one in wanted):
                tokens.append(ids)
                targets.append(wanted)
            told.advance()
    if not tokens:
        raise UsageError(
            f"no chat of {split} has a word of the assistant's within {max_tokens} tokens",
            "Look at data.text, and at model.max_tokens.",
        )
    if len(tokens) < len(chats):
        say(f"{len(chats) - len(tokens)} of {len(chats)} chats of {split} have no word of the assistant's: left out")
    return Examples(tokens, targets)


def encode(tokenizer: Any, chat: Chat, max_tokens: int) -> tuple[list[int], list[int]]:
    """The tokens of a chat, and for each the next one where that is the assistant's."""
    text = _render(tokenizer, chat)
    spans = [_span(tokenizer, chat, turn, text) for turn, one in enumerate(chat) if one["role"] == "assistant"]
    made = tokenizer(
        text, add_special_tokens=False, truncation=True, max_length=max_tokens, return_offsets_mapping=True
    )
    ids: list[int] = made["input_ids"]
    starts = [begin for begin, _ in spans]

    def said(begin: int, end: int) -> bool:
        """By the assistant: what the template put there has no part in it."""
        place = bisect.bisect_right(starts, begin) - 1
        return place >= 0 and begin < end and begin < spans[place][1]

    own = [token if said(*place) else NO_TARGET for token, place in zip(ids, made["offset_mapping"], strict=True)]
    return ids, [*own[1:], NO_TARGET]


def _span(tokenizer: Any, chat: Chat, turn: int, text: str) -> tuple[int, int]:
    """From where to where a turn of the assistant's goes in the text, its end mark with it."""
    before = _render(tokenizer, chat[:turn], add_generation_prompt=True)
    after = _render(tokenizer, chat[: turn + 1])
    if not (text.startswith(after) and after.startswith(before)):
        raise UsageError(
            "the checkpoint's chat template writes a turn otherwise once others follow it",
            "Split each chat into chats that end with the assistant's only turn.",
        )
    return len(before), len(after)


def _render(tokenizer: Any, chat: Chat, *, add_generation_prompt: bool = False) -> str:
    if not chat:  # an assistant that speaks first; templates need not know what to make of no message
        return ""
    text: str = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=add_generation_prompt)
    return text


def _checked(chat: Any, number: int, split: str) -> Chat:
    try:
        return [{"role": str(one["role"]), "content": str(one["content"])} for one in chat]
    except (TypeError, KeyError):
        raise UsageError(
            f"chat {number} of {split} is no list of messages with `role` and `content`",
            "Correct it, or name the field that holds the chats by data.text.",
        ) from None
