from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import groundwork
from groundwork import cli

Write = Callable[[str, str], Path]
PLAYBOOK = """\
- name: Judge
  hosts: all
  gather_facts: false
  tasks:
    - name: Be as was asked for
      ansible.builtin.assert: {that: wanted, fail_msg: "{{ word }} is wrong"}
"""


@pytest.fixture(autouse=True)
def _signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command takes SIGTERM; the tests' own process keeps its way."""
    monkeypatch.setattr("signal.signal", lambda *_: None)


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([verb, "--help"])
    assert end.value.code == 0
    assert f"example:\n  groundwork {verb}" in capsys.readouterr().out


def test_a_run_says_its_verdict_in_words_or_as_json(
    write: Write, local: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    playbook, variables = str(write("judge.yml", PLAYBOOK)), write("variables.yml", "wanted: false\nword: this\n")
    command = ["run", playbook, "-i", str(local), "--vars", str(variables)]
    assert cli.main(command) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith(f"FAILED: {playbook}: 2 hosts, 0 changed, 2 failures")
    assert "Be as was asked for  [a, b]\n  found:  this is wrong\n  where:  " in captured.out
    assert captured.err.strip().endswith("Judge")

    variables.write_text('{"wanted": true, "word": ""}')
    assert cli.main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["status"], found["failures"], found["report"]) == (True, "successful", [], None)
    assert found["hosts"]["a"]["ok"] == 1


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["run", "no-such.yml", "-i", "localhost,"], "no-such.yml"),
        (["verify", "-i", "no-such"], "no-such"),
        (["run", "-i", "localhost,", "--vars", "no-such"], "no-such"),
        (["report", "no-such", "--artifacts", "/nowhere"], "no-such"),
    ],
)
def test_wrong_usage_is_status_2_with_a_remedy(
    capsys: pytest.CaptureFixture[str], arguments: list[str], word: str
) -> None:
    assert cli.main(arguments) == 2
    assert word in capsys.readouterr().err
    assert cli.main([*arguments, "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], bool(found["remedy"])) == (False, True)
    assert word in found["error"]


@pytest.mark.parametrize("text", ["- a list\n", "password: [planted", "only words"])
def test_a_file_of_variables_that_cannot_be_read_is_named_and_not_shown(
    write: Write, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = write("variables.yml", text)
    assert cli.main(["run", "-i", "localhost,", "--vars", str(path)]) == 2
    said = capsys.readouterr().err
    assert str(path) in said
    assert "planted" not in said


def test_the_module_is_a_command() -> None:
    root = Path(groundwork.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "groundwork"], cwd=root, env=dict(os.environ), capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "usage: groundwork" in done.stderr
