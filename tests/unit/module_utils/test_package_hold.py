"""Packages that no upgrade touches."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from ansible.module_utils.groundwork import package_hold
from ansible.module_utils.groundwork.command import Output
from ansible.module_utils.groundwork.errors import GroundworkError

# dpkg-query tells on stdout of what it knows, and ends with 1 where it knows one of the names not.
KNOWN = "nvidia-driver-cuda hold installed\nnvidia-persistenced install installed\nnvidia-old deinstall config-files\n"


def answer(argv: Sequence[str], timeout_seconds: float) -> Output:
    assert timeout_seconds > 0
    return Output(0 if argv[0] == "dpkg-query" else 1, KNOWN, "dpkg-query: no packages found")


def test_only_what_is_not_held() -> None:
    assert package_hold.not_held(answer, ["nvidia-driver-cuda", "nvidia-persistenced"]) == ["nvidia-persistenced"]


@pytest.mark.parametrize("name", ["nvidia-old", "nvidia-none"])
def test_what_is_not_installed_cannot_be_held(name: str) -> None:
    with pytest.raises(GroundworkError, match=name):
        package_hold.not_held(answer, [name])


def test_a_failure_says_why() -> None:
    with pytest.raises(GroundworkError, match="apt-mark hold"):
        package_hold.hold(answer, ["nvidia-driver-cuda"])
