"""Waiting for a condition, with a limit."""

from __future__ import annotations

import itertools

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError

from tests.unit.module_utils.fakes import waiter


def test_it_asks_until_the_answer_is_good() -> None:
    answers = itertools.count()
    assert waiter(10).until(lambda: next(answers), lambda number: number == 4) == (4, True)


def test_it_asks_once_more_when_time_is_up_and_gives_the_last_answer() -> None:
    answers = itertools.count()
    assert waiter(3).until(lambda: next(answers), lambda _: False) == (3, False)


def test_a_good_answer_is_taken_even_without_time() -> None:
    assert waiter(0).until(lambda: "here", bool) == ("here", True)


def test_need_raises_what_the_last_answer_lacks() -> None:
    with pytest.raises(GroundworkError, match="still 7"):
        waiter(2).need(lambda: 7, lambda _: False, lambda last: GroundworkError(f"still {last}", "Wait."))


def test_need_gives_the_good_answer() -> None:
    assert waiter(2).need(lambda: 7, bool, lambda last: GroundworkError(f"still {last}", "Wait.")) == 7
