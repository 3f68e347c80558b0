"""What is built and how, without building: recipes, keys, locks, what is current and what a failure says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab import golang, paths, programs
from lab.errors import LabError
from lab.golang import Go

RECIPE = """
cgo: true
tags: [seccomp]
linker: -Wl,-z,lazy
staging: v0.{minor}.{patch}
variables:
  main.version: "{version}"
  main.number: "{number}"
outputs:
  runc: example.org/runc
  tool: example.org/tool/v2
"""


def _program(**said: str) -> programs.Program:
    text = RECIPE
    for old, new in said.items():
        text = text.replace(old, new)
    return programs.parse("runc", "example.org/runc", "v1.36.4-rc.1", text)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point everything that is written to a directory of this test."""
    monkeypatch.setattr(paths, "CACHE", tmp_path)
    monkeypatch.setattr(paths, "PROGRAMS", tmp_path / "programs")
    monkeypatch.setattr(paths, "GO", tmp_path / "go")
    monkeypatch.setattr(golang, "LOGS", tmp_path / "programs/logs")
    monkeypatch.setattr(golang, "BUILD", tmp_path / "go/build")
    return tmp_path


@pytest.fixture
def fake_go(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a `go` in place that notes its words, and makes the two files of the recipe where it is to build."""
    command = cache / "go-command"
    command.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$*" >> "$0.said"\n'
        'for word; do [ "$before" = -o ] && touch "$word/runc" "$word/tool"; before=$word; done; exit 0\n'
    )
    command.chmod(0o755)
    monkeypatch.setattr(golang, "toolchain", lambda _: Go(command))
    monkeypatch.setattr(programs, "load", lambda _: _program())
    monkeypatch.setattr(programs, "all_names", lambda: ["runc"])
    (cache / "recipes/runc").mkdir(parents=True)
    monkeypatch.setattr(programs, "RECIPES", cache / "recipes")
    return command


def test_versions_are_filled_in() -> None:
    program = _program()
    assert program.variables == {"main.version": "v1.36.4-rc.1", "main.number": "1.36.4-rc.1"}
    assert program.staging == "v0.36.4"


def test_build_arguments_hold_tags_variables_and_the_linker_option_as_one_word() -> None:
    *_, tags, _, link = _program().build_arguments()
    assert tags == "netgo,osusergo,seccomp"
    assert link == "-s -w -X main.version=v1.36.4-rc.1 -X main.number=1.36.4-rc.1 -extldflags=-Wl,-z,lazy"


@pytest.mark.parametrize(
    ("package", "name"),
    [("example.org/runc", "runc"), ("go.etcd.io/etcd/server/v3", "server"), ("./kubelite", "kubelite")],
)
def test_default_name_is_what_go_calls_it(package: str, name: str) -> None:
    assert programs.default_name(package) == name


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cgo: true", "cgo: false"),
        ("seccomp", "selinux"),
        ("-z,lazy", "-z,now"),
        ("main.version", "main.commit"),
        ("tool: example", "other: example"),
    ],
)
def test_key_changes_with_everything_that_goes_in(old: str, new: str) -> None:
    assert _program(**{old: new}).key() != _program().key()


@pytest.mark.usefixtures("fake_go")
def test_key_changes_with_the_sources() -> None:
    before = _program().key()
    (_program().folder / "main.go").write_text("package main\n")
    assert _program().key() != before


def test_module_file_keeps_published_replacements_and_maps_local_ones_to_their_published_version() -> None:
    own = {
        "Go": "1.26.0",
        "Replace": [
            {"Old": {"Path": "a.org/x", "Version": "v1.0.0"}, "New": {"Path": "b.org/x", "Version": "v1.0.1"}},
            {"Old": {"Path": "k8s.io/api"}, "New": {"Path": "./staging/src/k8s.io/api"}},
        ],
    }
    assert programs.module_file(_program(), own).splitlines() == [
        "module lab/programs/runc",
        "",
        "go 1.26.0",
        "",
        "replace a.org/x v1.0.0 => b.org/x v1.0.1",
        "replace k8s.io/api => k8s.io/api v0.36.4",
    ]


def test_module_file_leaves_local_replacements_out_where_nothing_is_published() -> None:
    own = {"Go": "1.26.0", "Replace": [{"Old": {"Path": "k8s.io/api"}, "New": {"Path": "./api"}}]}
    assert "replace" not in programs.module_file(_program(**{"staging: v0.{minor}.{patch}": ""}), own)


def test_module_file_takes_the_versions_of_another_program_for_libraries_that_both_have() -> None:
    own = {
        "Go": "1.26.0",
        "Require": [{"Path": "k8s.io/api", "Version": "v0.32.3"}, {"Path": "own.org/x", "Version": "v1.0.0"}],
        "Replace": [{"Old": {"Path": "k8s.io/api"}, "New": {"Path": "k8s.io/api", "Version": "v0.32.3"}}],
    }
    shared = {
        "Require": [{"Path": "k8s.io/api", "Version": "v0.0.0"}, {"Path": "theirs.org/x", "Version": "v1.0.0"}],
        "Replace": [{"Old": {"Path": "k8s.io/api"}, "New": {"Path": "k8s.io/api", "Version": "v0.36.1"}}],
    }
    said = programs.module_file(_program(), own, shared).splitlines()
    assert [line for line in said if "/" in line][1:] == ["replace k8s.io/api => k8s.io/api v0.36.1"]


def test_build_names_files_after_outputs_and_a_second_build_does_nothing(fake_go: Path) -> None:
    programs.build()
    assert sorted(path.name for path in programs.directory("runc").iterdir()) == ["runc", "tool"]
    said = Path(f"{fake_go}.said")
    assert [line.split()[0] for line in said.read_text().splitlines()] == ["list", "build"]
    said.unlink()
    programs.build(["runc"])
    assert not said.exists()


def test_a_failed_build_leaves_nothing_that_looks_built_and_names_the_log_and_its_last_lines(fake_go: Path) -> None:
    fake_go.write_text('#!/bin/sh\n[ "$1" = list ] || { echo "undefined: x"; exit 1; }\n')
    with pytest.raises(LabError, match=r"runc v1\.36\.4-rc\.1 could not be built:\n(?s:.*)undefined: x") as caught:
        programs.build()
    assert "programs/logs/runc/build.log" in caught.value.remedy
    assert not programs.directory("runc").exists()


def test_a_failed_download_says_so(fake_go: Path) -> None:
    fake_go.write_text("#!/bin/sh\necho 403 Forbidden\nexit 1\n")
    with pytest.raises(LabError, match=r"could not be downloaded:\n(?s:.*)403 Forbidden"):
        programs.build()


@pytest.mark.usefixtures("fake_go")
def test_the_build_cache_is_dropped() -> None:
    programs.build()
    assert not golang.BUILD.exists()


def test_locks_are_obeyed_and_the_machines_go_settings_are_not(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = cache / "go-command"
    command.write_text("#!/bin/sh\nenv\n")
    command.chmod(0o755)
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    monkeypatch.setenv("GOTOOLCHAIN", "auto")
    monkeypatch.setenv("GOPROXY", "https://mirror.example")
    log = cache / "log"
    Go(command).run([], folder=cache, log=log, failed="failed", cgo=False, mode="readonly")
    said = dict(line.split("=", 1) for line in log.read_text().splitlines() if "=" in line)
    assert said["GOFLAGS"].startswith("-mod=readonly")
    assert (said["GOTOOLCHAIN"], said["GOPROXY"], said["CGO_ENABLED"]) == ("local", "https://mirror.example", "0")
    assert said["PATH"] == os.environ["PATH"]


def test_an_unknown_program_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(LabError, match="no program called 'kubelit'") as caught:
        programs.load("kubelit")
    assert "kubernetes" in caught.value.remedy
