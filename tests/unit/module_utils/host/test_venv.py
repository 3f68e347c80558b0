"""The environment is made once, again where it must be, and never half."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.command import MISSING, Output
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.host import venv


@dataclass
class Machine:
    """Runs what a host would: python3 of a version, `-m venv`, and a pip that works or not."""

    path: Path
    version: str = "3.11.2"
    pip: Output = field(default_factory=lambda: Output(0))
    ran: list[str] = field(default_factory=list)

    def __call__(self, argv: Sequence[str], timeout_seconds: float) -> Output:
        assert timeout_seconds > 0
        self.ran.append(" ".join(argv))
        if argv[1:3] == ["-m", "venv"]:
            python = Path(argv[3]) / "bin/python"
            python.parent.mkdir(parents=True)
            python.write_text(self.version)
        if argv[1:3] == ["-m", "pip"]:
            return self.pip
        if argv[1] == "-c":
            python = Path(argv[0])
            own = python.is_relative_to(self.path)
            version = python.read_text() if own and python.exists() else "" if own else self.version
            return Output(0, f"{version}\n") if version else Output(MISSING)
        return Output(0)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "venv")


def wanted(machine: Machine, requirements: str = "six==1.17.0 --hash=sha256:0\n", index: str = "") -> venv.Wanted:
    return venv.Wanted(machine.path, "/usr/bin/python3", requirements, index)


def run(machine: Machine, aim: venv.Wanted) -> list[str]:
    """Observe, plan and apply, as the module does."""
    target = venv.target(machine, aim)
    actions = venv.plan(venv.observe(machine, aim.path), target)
    if actions:
        venv.apply(machine, aim, target, 60)
    return actions


def test_a_fresh_host_then_nothing(machine: Machine) -> None:
    assert run(machine, wanted(machine)) == ["make the environment again", "install the locked packages"]
    assert run(machine, wanted(machine)) == []


def test_a_new_lock_installs_into_what_is_there(machine: Machine) -> None:
    run(machine, wanted(machine))
    machine.ran.clear()
    assert run(machine, wanted(machine, "six==1.18.0 --hash=sha256:1\n")) == ["install the locked packages"]
    assert not [command for command in machine.ran if "-m venv" in command]


def test_a_new_python_makes_it_again(machine: Machine) -> None:
    run(machine, wanted(machine))
    machine.version = "3.13.5"
    assert run(machine, wanted(machine)) == ["make the environment again", "install the locked packages"]
    assert run(machine, wanted(machine)) == []


def test_a_failed_installation_is_tried_again(machine: Machine) -> None:
    machine.pip = Output(1, "", "THESE PACKAGES DO NOT MATCH THE HASHES")
    with pytest.raises(GroundworkError, match="DO NOT MATCH THE HASHES"):
        run(machine, wanted(machine, index="http://mirror/pypi/simple"))
    machine.pip = Output(0)
    assert run(machine, wanted(machine))


@pytest.mark.parametrize(
    ("index", "arguments"),
    [
        ("", "--only-binary :all: --requirement"),
        ("https://mirror/simple", "--index-url https://mirror/simple --requirement"),
        ("http://mirror:8080/simple", "--index-url http://mirror:8080/simple --trusted-host mirror:8080 --requirement"),
    ],
)
def test_where_packages_come_from(machine: Machine, index: str, arguments: str) -> None:
    run(machine, wanted(machine, index=index))
    pip = next(command for command in machine.ran if "-m pip" in command)
    assert arguments in pip
    assert "--require-hashes" in pip
