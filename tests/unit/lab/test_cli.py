"""What can be said to script/lab, and what it answers to nonsense."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from lab import cli, lifecycle, model, paths
from lab.errors import LabError
from lab.faults import FAULTS
from lab.model import Gpus, Host, Lab


@pytest.fixture
def labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "LABS", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n1", Host("n1", "debian-12", "")),
        ("n1=debian-13", Host("n1", "debian-13", "")),
        ("n2,gpus=H100-80GBx2", Host("n2", "debian-12", "", Gpus("H100-80GB", 2))),
        ("n2,gpus=H100-80GBx8,switches=4", Host("n2", "debian-12", "", Gpus("H100-80GB", 8, 4))),
        ("n2=ubuntu-24.04,gpus=L40Sx8,memory=4096", Host("n2", "ubuntu-24.04", "", Gpus("L40S", 8), 4096)),
    ],
)
def test_hosts_are_read(text: str, expected: Host) -> None:
    assert cli.host_argument(text) == expected


@pytest.mark.parametrize(
    "text", ["n1,gpu=H100-80GBx2", "n1,gpus=H100", "n1,gpus=H100-80GBx0", "n1,memory=much", "n1,", "n1,switches=4"]
)
def test_nonsense_about_hosts_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        cli.host_argument(text)


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_takes_a_lab_and_json(verb: str) -> None:
    few = {"shell": ["n1"], "reboot": ["n1"], "snapshot": ["list"], "fault": ["clear"], "share": ["n1"]}
    options = cli.parser().parse_args([verb, "--lab", "other", "--json", *few.get(verb, [])])
    assert (options.lab, options.json) == ("other", True)


def test_a_command_for_a_host_keeps_its_options() -> None:
    options = cli.parse(["shell", "--lab", "other", "n1", "--", "kubectl", "exec", "pod", "--", "ls", "--json"])
    assert options.command == ["kubectl", "exec", "pod", "--", "ls", "--json"]
    assert not options.json


def test_only_a_shell_takes_a_command() -> None:
    with pytest.raises(SystemExit):
        cli.parse(["status", "--", "ls"])


@pytest.mark.usefixtures("labs")
def test_errors_say_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", "--lab", "none"]) == 2
    assert "remedy: raise it: script/lab up --lab none" in capsys.readouterr().err
    assert cli.main(["status", "--lab", "none", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["ok"] is False


@pytest.mark.usefixtures("labs")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gpu-melts", "n1"], "there is no fault called"),
        (["gpu-lost", "n1"], "takes 2 arguments, not 1"),
        (["gpu-hang", "n1", "0", "nvmlDeviceGetName", "more"], "takes 3 arguments, not 4"),
        (["gpu-set", "n1", "0", "temperature"], "'temperature' sets nothing"),
        (["gpu-lost", "n9", "0"], "has no host 'n9'"),
        (["gpu-lost", "n1", "first"], "is not a number"),
    ],
)
def test_nonsense_about_faults_is_refused(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    Lab("lab", "10.77.0.0/24", hosts=(Host("n1", "debian-12", "10.77.0.11"),)).save()
    assert cli.main(["fault", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_help_names_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["fault", "--help"])
    text = capsys.readouterr().out
    assert all(f"  {' '.join((kind, *fault.takes))}\n      {fault.help}" in text for kind, fault in FAULTS.items())


@pytest.mark.parametrize(
    ("name", "hosts", "said"),
    [
        ("Lab", [], "no name for a lab"),
        ("lab", [Host("N1", "debian-12", "")], "no name for a lab or a host"),
        ("lab", [Host("a", "debian-12", ""), Host("a", "debian-13", "")], "two hosts cannot be called 'a'"),
        ("lab", [Host("mirror", "debian-12", "")], "called 'mirror'"),
        ("lab", [Host("a", "debian-10", "")], "cannot run 'debian-10'"),
        ("old", [Host("n1", "debian-13", "")], "is there already, and different"),
    ],
)
def test_what_cannot_be_is_refused_before_any_change(labs: Path, name: str, hosts: list[Host], said: str) -> None:
    Lab("old", "10.77.1.0/24", hosts=(Host("n1", "debian-12", "10.77.1.11"),)).save()
    before = sorted(labs.rglob("*"))
    with pytest.raises(LabError) as error:
        lifecycle.up(name, hosts)
    assert said in error.value.message
    assert error.value.remedy
    assert sorted(labs.rglob("*")) == before


@pytest.mark.usefixtures("labs")
def test_a_lab_is_read_as_it_was_written() -> None:
    lab = Lab("lab", "10.77.0.0/24", False, (Host("n1", "debian-12", "10.77.0.11", Gpus("L40S", 1), 512),))
    lab.save()
    assert model.load("lab") == lab
    assert list(model.every()) == [lab]
    assert model.load("other") is None
