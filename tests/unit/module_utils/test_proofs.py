"""Proofs: made again only where something changed, and remembered only where all of it held."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.groundwork import proofs
from ansible.module_utils.groundwork.check import Check, Status
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.proofs import Memory, When


class Proof:
    """A proof that counts how often it was made."""

    def __init__(self, status: Status = "ok") -> None:
        self.status = status
        self.made = 0

    def __call__(self) -> list[Check]:
        self.made += 1
        return [Check("a.b", self.status, "four pods")]


def ask(proof: Proof, memory: Memory, when: When = "changed") -> Check:
    (found,) = proofs.verdicts(when, memory, ["a.b"], proof)
    return found


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "a.proof", {"nodes": ["n1"]})


def test_what_held_is_remembered_with_its_time(memory: Memory) -> None:
    proof = Proof()
    assert ask(proof, memory).observed == "four pods"
    again = ask(proof, memory)
    assert again.observed.startswith("four pods (proved 2")
    assert (again.status, proof.made) == ("ok", 1)


@pytest.mark.parametrize("status", ["skipped", "warning", "failed"])
def test_what_did_not_hold_is_proved_again(memory: Memory, status: Status) -> None:
    proof = Proof(status)
    assert [ask(proof, memory).status for _ in range(2)] == [status, status]
    assert proof.made == 2


def test_a_new_subject_is_proved_anew(memory: Memory) -> None:
    proof = Proof()
    ask(proof, memory)
    ask(proof, Memory(memory.file, {"nodes": ["n1", "n2"]}))
    assert proof.made == 2


def test_a_failure_since_then_takes_the_memory_away(memory: Memory) -> None:
    ask(Proof(), memory)
    ask(Proof("failed"), memory, "always")
    assert ask(Proof(), memory, "never").status == "skipped"


def test_a_proof_that_does_not_end_takes_the_memory_away(memory: Memory) -> None:
    def broken() -> list[Check]:
        raise GroundworkError("The API server does not answer", "See its journal.")

    ask(Proof(), memory)
    with pytest.raises(GroundworkError):
        proofs.verdicts("always", memory, ["a.b"], broken)
    assert memory.recall() is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"subject": 1}', "5"])
def test_a_file_of_something_else_is_no_memory(memory: Memory, content: str) -> None:
    assert memory.file is not None
    memory.file.write_text(content)
    assert memory.recall() is None


def test_without_a_file_nothing_is_remembered() -> None:
    proof = Proof()
    for _ in range(2):
        ask(proof, Memory(None, {}))
    assert proof.made == 2
