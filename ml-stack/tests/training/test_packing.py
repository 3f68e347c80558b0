"""Rows hold every text once, whole, and no more than their length."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from mlstack.training.packing import collate, epoch_rows, pack

ROW = 32
lengths = st.lists(st.integers(1, ROW), min_size=1, max_size=200)


@given(lengths, st.integers(0, 5), st.integers(0, 3))
def test_an_epoch_has_every_text_once_in_rows_that_fit(lengths: list[int], seed: int, epoch: int) -> None:
    rows = epoch_rows(lengths, ROW, seed, epoch)
    assert sorted(text for row in rows for text in row) == list(range(len(lengths)))
    assert all(sum(lengths[text] for text in row) <= ROW for row in rows)
    assert rows == epoch_rows(lengths, ROW, seed, epoch)


@given(lengths)
def test_little_is_padding(lengths: list[int]) -> None:
    rows = pack(range(len(lengths)), lengths, ROW)
    # No two rows would fit into one: the bound that best fit keeps.
    used = sorted(sum(lengths[text] for text in row) for row in rows)
    assert len(used) < 2 or used[0] + used[1] > ROW


def test_epochs_differ_in_their_order() -> None:
    assert epoch_rows([5] * 100, ROW, 1, 0) != epoch_rows([5] * 100, ROW, 1, 1)


def test_a_batch_keeps_each_text_to_itself() -> None:
    batch = collate([(1, 0), (2,)], [[7, 8], [9, 9, 9], [4]], 6)
    assert batch.ids.tolist() == [[9, 9, 9, 7, 8, 0], [4, 0, 0, 0, 0, 0]]
    assert batch.positions.tolist() == [[0, 1, 2, 0, 1, 0], [0] * 6]
    assert batch.segments.tolist() == [[0, 0, 0, 1, 1, -1], [2, -1, -1, -1, -1, -1]]
    assert batch.texts == (1, 0, 2)
    mask = batch.mask
    assert mask is not None
    assert torch.equal(mask[0, 0, 3], torch.tensor([False, False, False, True, True, False]))


def test_rows_of_one_whole_text_need_no_mask() -> None:
    assert collate([(0,)], [[1, 2, 3]], 3).mask is None
