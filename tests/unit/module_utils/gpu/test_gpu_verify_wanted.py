"""What is declared of a host's GPUs, and what cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu.verify.wanted import REMEDY, Wanted, declare


def test_nothing_given_is_nothing_declared() -> None:
    assert declare({"count": None, "products": [], "timeout_seconds": 20.0}) == Wanted()


def test_what_is_given_is_declared() -> None:
    given = {"count": 8, "products": ["*H100*"], "nvlinks": 18, "persistence": False, "ignored": ["cuda"]}
    wanted = Wanted(count=8, products=("*H100*",), nvlinks=18, persistence=False, ignored=frozenset({"cuda"}))
    assert declare({**given, "declaration_only": False}) == wanted


def test_no_gpu_at_all_can_be_declared() -> None:
    assert declare({"count": 0}).count == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"count": -1}, "count is -1"),
        ({"nvlinks": -2}, "nvlinks is -2"),
        ({"memory_mib": 0}, "memory_mib is 0"),
        ({"pcie_generation": 0}, "pcie_generation is 0"),
        ({"pcie_width": 3}, "pcie_width is 3, and a link has 1, 2, 4"),
        ({"products": ["*H100*", " "]}, "products has an empty name"),
        ({"products": ["*H100*", "*A100*", "*H100*"]}, r"products names \*H100\* twice"),
        ({"ignored": ["xid", "heat"]}, "ignored has heat; what can be left out is gpus_answer"),
        ({"driver_branch": "580.126"}, "driver_branch is 580.126; a branch is a number"),
        ({"count": -1, "pcie_width": 5}, "count is -1.*; pcie_width is 5"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(given: dict[str, Any], said: str) -> None:
    with pytest.raises(GroundworkError, match=said) as error:
        declare(given)
    assert error.value.remedy == REMEDY
