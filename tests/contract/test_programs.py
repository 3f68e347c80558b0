"""versions.yml is the source of the lab's programs: their folders and locks say the same, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab import programs

each_program = pytest.mark.parametrize("name", programs.all_names())


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _required(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^(?:require)?\s+(\S+) (v\S+)", lock.read_text(), flags=re.MULTILINE))


def test_there_is_a_folder_for_every_program_and_no_other() -> None:
    assert {path.name for path in programs.RECIPES.iterdir() if path.is_dir()} == set(programs.all_names())


@each_program
def test_go_mod_requires_the_version_of_versions_yml(name: str) -> None:
    program = programs.load(name)
    assert _required(program.folder / "go.mod")[program.module] == program.version


@each_program
def test_every_published_package_is_a_tool_of_its_go_mod(name: str) -> None:
    program = programs.load(name)
    words = (program.folder / "go.mod").read_text().split()
    assert [package for package in program.packages if not package.startswith("./") and package not in words] == []


@each_program
def test_every_package_of_ours_has_sources(name: str) -> None:
    program = programs.load(name)
    ours = [package for package in program.packages if package.startswith("./")]
    assert [package for package in ours if not (program.folder / package / "main.go").is_file()] == []


@each_program
def test_go_sum_holds_the_hash_of_the_module(name: str) -> None:
    program = programs.load(name)
    assert f"{program.module} {program.version} h1:" in (program.folder / "go.sum").read_text()


@each_program
def test_the_toolchain_is_new_enough(name: str) -> None:
    wanted = re.search(r"^go (\S+)$", (programs.load(name).folder / "go.mod").read_text(), flags=re.MULTILINE)
    assert wanted is not None
    assert _version(wanted[1]) <= _version(programs.go_version())


@each_program
def test_no_lock_depends_on_a_folder_of_one_machine(name: str) -> None:
    assert not re.search(r"=> [./]", (programs.load(name).folder / "go.mod").read_text())


def test_no_two_programs_build_a_file_of_one_name() -> None:
    outputs = [output for name in programs.all_names() for output in programs.load(name).outputs]
    assert len(outputs) == len(set(outputs))
