"""The unit that applies a declaration at each boot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.command import Output
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import boot, boot_unit
from ansible.module_utils.groundwork.gpu.boot_unit import State, Step, Wanted
from ansible.module_utils.groundwork.text_files import Difference

from tests.unit.module_utils.fakes import Commands

WANTED = Wanted("mig", {"selected": "all-enabled", "config": {}}, Path("/opt/groundwork/venv"))
SHOW = "systemctl show --property=ActiveState --property=UnitFileState groundwork-gpu-mig.service"
UNKNOWN = Output(0, "ActiveState=inactive\nUnitFileState=\n")
WELL = Output(0, "ActiveState=active\nUnitFileState=enabled\n")
CHANGED = (Difference(Path("/etc/x"), "", "x"),)


@pytest.mark.parametrize(
    ("state", "present", "steps"),
    [
        (State(CHANGED), True, ("write", "enable", "start")),
        (State((), enabled=True, active=True, there=True), True, ()),
        (State(CHANGED, enabled=True, active=True, there=True), True, ("write", "start")),
        (State((), enabled=True, active=False, there=True), True, ("start",)),
        (State((), enabled=False, active=True, there=True), True, ("enable",)),
        (State(CHANGED), False, ()),
        (State((), enabled=True, active=True, there=True), False, ("disable", "remove")),
        (State((), enabled=False, active=False, there=True), False, ("remove",)),
    ],
)
def test_steps(state: State, present: bool, steps: tuple[Step, ...]) -> None:
    assert boot_unit.plan(state, present) == steps


def test_from_nothing_to_a_unit_and_back(tmp_path: Path) -> None:
    commands = Commands({SHOW: [UNKNOWN, WELL], "systemctl": Output(0)})
    for steps in (("write", "enable", "start"), ()):
        state = boot_unit.observe(commands, tmp_path, WANTED)
        assert boot_unit.plan(state, present=True) == steps
        boot_unit.apply(commands, tmp_path, WANTED, state, steps)
    assert [line for line in commands.asked if not line.startswith("systemctl show")] == [
        "systemctl daemon-reload",
        "systemctl enable groundwork-gpu-mig.service",
        "systemctl restart groundwork-gpu-mig.service",
    ]
    assert json.loads((tmp_path / "etc/groundwork/boot/mig.json").read_text()) == WANTED.arguments
    unit = (tmp_path / "etc/systemd/system/groundwork-gpu-mig.service").read_text()
    assert "ExecStart=/opt/groundwork/venv/bin/python -m ansible.module_utils.groundwork.gpu.boot mig\n" in unit
    assert "After=nvidia-persistenced.service\n" in unit
    boot_unit.apply(commands, tmp_path, WANTED, state, boot_unit.plan(state, present=False))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_changed_declaration_is_applied_without_a_reload(tmp_path: Path) -> None:
    """A reload is not harmless: with systemd's cgroup driver it takes GPUs from containers."""
    commands = Commands({SHOW: [UNKNOWN, WELL], "systemctl": Output(0)})
    state = boot_unit.observe(commands, tmp_path, WANTED)
    boot_unit.apply(commands, tmp_path, WANTED, state, boot_unit.plan(state, present=True))
    commands.asked.clear()
    other = Wanted("mig", {"selected": "all-disabled"}, WANTED.venv)
    state = boot_unit.observe(commands, tmp_path, other)
    boot_unit.apply(commands, tmp_path, other, state, boot_unit.plan(state, present=True))
    assert commands.asked == [SHOW, "systemctl restart groundwork-gpu-mig.service"]


def test_what_is_told_leaves_our_code_out(tmp_path: Path) -> None:
    state = boot_unit.observe(Commands({SHOW: UNKNOWN}), tmp_path, WANTED)
    told = boot_unit.told(state, boot_unit.plan(state, present=True), WANTED)
    assert [Path(one["before_header"]).name for one in told["diff"]] == ["mig.json", "groundwork-gpu-mig.service"]
    assert told["actions"][0] == "write groundwork-gpu-mig.service"
    assert told["changed"] is True


def test_a_unit_that_does_not_do_well_says_why(tmp_path: Path) -> None:
    table = {
        "systemctl restart": Output(1, "", "Job failed"),
        "journalctl --unit groundwork-gpu-mig.service": Output(0, "GPU 1 is lost. Reboot.\n"),
    }
    with pytest.raises(GroundworkError, match="GPU 1 is lost"):
        boot_unit.apply(Commands(table), tmp_path, WANTED, State(there=True), ("start",))


def test_a_refusal_of_systemd_is_told(tmp_path: Path) -> None:
    with pytest.raises(GroundworkError, match=r"systemctl enable groundwork-gpu-mig\.service.* failed: no bus"):
        boot_unit.apply(Commands({"systemctl": Output(1, "", "no bus")}), tmp_path, WANTED, State(), ("enable",))


def test_the_code_goes_only_with_the_last_declaration(tmp_path: Path) -> None:
    state = boot_unit.observe(Commands({SHOW: UNKNOWN}), tmp_path, WANTED)
    commands = Commands({"systemctl": Output(0)})
    boot_unit.apply(commands, tmp_path, WANTED, state, ("write",))
    other = tmp_path / "etc/groundwork/boot/other.json"
    other.write_text("{}")
    boot_unit.apply(commands, tmp_path, WANTED, state, ("remove",))
    assert (tmp_path / "opt/groundwork/lib").is_dir()
    assert other.exists()


def test_all_that_a_program_imports_of_ours_comes_with_it() -> None:
    found = boot_unit.sources(boot_unit.PROGRAM)
    names = {name.removeprefix("ansible.module_utils.groundwork").lstrip(".") for name in found}
    assert names >= {"", "child", "errors", "waiting", "gpu", "gpu.boot", "gpu.nvml", "gpu.mig", "gpu.mig.declare"}
    assert not {"module", "gpu.boot_unit", "kubernetes"} & names


def test_the_installed_program_runs_without_this_checkout(tmp_path: Path) -> None:
    """With nothing on the path but what was written, and pynvml, as the virtual environment on a host has it."""
    state = boot_unit.observe(Commands({SHOW: UNKNOWN}), tmp_path, WANTED)
    boot_unit.apply(Commands({"systemctl": Output(0)}), tmp_path, WANTED, state, ("write",))
    (tmp_path / "pynvml.py").write_text("nvmlInit = None\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / boot_unit.LIBRARY}:{tmp_path}"}
    argv = [sys.executable, "-S", "-m", boot_unit.PROGRAM]
    usage = subprocess.run(argv, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (usage.returncode, usage.stderr) == (2, f"usage: boot {'|'.join(boot.WORKERS)}\n")
