"""Texts packed into rows of a fixed length without padding between them, in an order that a seed decides.

A row holds whole texts side by side; attention keeps to each text (`Batch.mask`), and positions begin anew with each.
Padding is left at a row's end only.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

WINDOW = 1024
"""Texts are shuffled first and packed within so many, so that an epoch's batches stay random ones."""
Row = tuple[int, ...]
"""The numbers of the texts in a row."""


@dataclass(frozen=True)
class Batch:
    """Packed rows as tensors.

    ids        token ids, (rows, length)
    positions  of each token within its text, (rows, length)
    segments   the number of each token's text within the batch, -1 where there is padding, (rows, length)
    texts      the texts' numbers in the data set, in the order of `segments`
    """

    ids: Tensor
    positions: Tensor
    segments: Tensor
    texts: tuple[int, ...]
    whole: bool = field(default=False)

    @property
    def mask(self) -> Tensor | None:
        """Who may attend to whom, (rows, 1, length, length); None where every row is one whole text."""
        if self.whole:
            return None
        same = self.segments[:, :, None] == self.segments[:, None, :]
        return same[:, None]

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        ids, positions, segments = (
            tensor.to(device, non_blocking=True) for tensor in (self.ids, self.positions, self.segments)
        )
        return Batch(ids, positions, segments, self.texts, self.whole)


def epoch_rows(lengths: Sequence[int], row_tokens: int, seed: int, epoch: int) -> list[Row]:
    """All texts of an epoch, of these lengths in tokens, in rows; seed and epoch decide their order."""
    dice = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(len(lengths), generator=dice).tolist()
    rows: list[Row] = []
    for start in range(0, len(order), WINDOW):
        packed = pack(order[start : start + WINDOW], lengths, row_tokens)
        rows += [packed[place] for place in torch.randperm(len(packed), generator=dice).tolist()]
    return rows


def pack(texts: Sequence[int], lengths: Sequence[int], row_tokens: int) -> list[Row]:
    """Best fit, longest first: each text goes to the fullest row that still has room for it."""
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (free tokens, row), sorted
    for text in sorted(texts, key=lambda text: -lengths[text]):
        place = bisect.bisect_left(room, (lengths[text], -1))
        if place == len(room):
            rows.append([])
            free, row = row_tokens, len(rows) - 1
        else:
            free, row = room.pop(place)
        rows[row].append(text)
        bisect.insort(room, (free - lengths[text], row))
    return [tuple(row) for row in rows]


def collate(rows: Sequence[Row], tokens: Sequence[Sequence[int]], row_tokens: int) -> Batch:
    """Rows as tensors; all are `row_tokens` long, so that shapes stay the same for a compiler."""
    shape = (len(rows), row_tokens)
    ids, positions = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    segments = torch.full(shape, -1)
    texts: list[int] = []
    for number, row in enumerate(rows):
        start = 0
        for text in row:
            end = start + len(tokens[text])
            ids[number, start:end] = torch.tensor(tokens[text])
            positions[number, start:end] = torch.arange(end - start)
            segments[number, start:end] = len(texts)
            texts.append(text)
            start = end
    whole = all(len(row) == 1 and len(tokens[row[0]]) == row_tokens for row in rows)
    return Batch(ids, positions, segments, tuple(texts), whole)
