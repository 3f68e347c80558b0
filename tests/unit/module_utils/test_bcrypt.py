"""bcrypt by the system's own library."""

from __future__ import annotations

import pytest
from ansible.module_utils.groundwork import bcrypt
from ansible.module_utils.groundwork.errors import GroundworkError


def test_a_hash_is_its_passwords_alone() -> None:
    hashed = bcrypt.digest("correct horse")
    assert hashed.startswith(f"$2b${bcrypt.ROUNDS:02}$")
    assert bcrypt.matches("correct horse", hashed)
    assert not bcrypt.matches("battery staple", hashed)
    assert bcrypt.digest("correct horse") != hashed, "each has a salt of its own"


@pytest.mark.parametrize("hashed", ["", "x", "$2b$", "$2b$10$short", "$6$salt$hash", "correct horse"])
def test_what_is_no_hash_matches_nothing(hashed: str) -> None:
    assert not bcrypt.matches("correct horse", hashed)


def test_a_known_hash_is_known() -> None:
    """Of crypt(3) itself, so that what was made by another program is read."""
    assert bcrypt.matches("secret", "$2b$10$9f9KrERfcTk5odx5YmK1QOo1tapUdRxM4UaNnhEYs7zif0vsHfCJW")


def test_a_system_without_the_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bcrypt, "LIBRARY", "libnothing.so.0")
    with pytest.raises(GroundworkError, match=r"libnothing\.so\.0 is missing"):
        bcrypt.digest("x")
