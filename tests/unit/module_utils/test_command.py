"""Commands on the host, always with a limit of time."""

from __future__ import annotations

import time

import pytest
from ansible.module_utils.groundwork.command import MISSING, Output, run
from ansible.module_utils.groundwork.errors import GroundworkError


@pytest.mark.parametrize(
    ("script", "wanted"),
    [
        ("echo out; echo err >&2; exit 3", Output(3, "out\n", "err\n")),
        ("true", Output(0, "", "")),
        ("kill -9 $$", Output(-9, "", "")),
        ('read line; echo "<$line>"', Output(0, "<>\n", "")),
        ("printf '\\377'", Output(0, "�", "")),
    ],
)
def test_status_and_streams_are_told_apart(script: str, wanted: Output) -> None:
    assert run(["sh", "-c", script], 5) == wanted


def test_it_speaks_english_whatever_the_caller_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("GROUNDWORK", "stays")
    assert run(["sh", "-c", "echo $LC_ALL $GROUNDWORK"], 5).stdout == "C.UTF-8 stays\n"


def test_a_missing_command_is_no_exception() -> None:
    output = run(["no-such-command-here", "x"], 5)
    assert output.code == MISSING
    assert "no-such-command-here" in output.stderr


def test_past_the_limit_the_whole_group_ends_and_the_error_names_the_command() -> None:
    start = time.monotonic()
    with pytest.raises(GroundworkError, match=r"`sh -c sleep 60 & wait` took longer than 0\.2 s"):
        run(["sh", "-c", "sleep 60 & wait"], 0.2)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("output", "text"),
    [(Output(1, " a\n", "b\n"), "a b"), (Output(1, "", "b"), "b"), (Output(1, "a"), "a"), (Output(1), "")],
)
def test_its_words_are_those_of_both_streams(output: Output, text: str) -> None:
    assert output.text == text
