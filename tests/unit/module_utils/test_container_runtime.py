"""The runtime nvidia in containerd's template."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.command import MISSING, Output
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import container_runtime
from ansible.module_utils.groundwork.gpu.container_runtime import State


def configure(argv: Sequence[str], timeout_seconds: float) -> Output:
    """Do as nvidia-ctk does: add the runtime once, to the file it is told."""
    assert timeout_seconds > 0
    file = Path(next(word for word in argv if word.startswith("--config=")).removeprefix("--config="))
    text = file.read_text()
    if "nvidia" not in text:
        file.write_text(text + "[nvidia]\n")
    return Output(0)


@pytest.mark.parametrize(
    ("state", "actions"),
    [
        (State("a", "a", False), []),
        (State("a", "b", False), ["configure the template", "restart containerd"]),
        (State("a", "a", True), ["restart containerd"]),
        (State("a", None, False), ["configure the template", "restart containerd"]),
    ],
)
def test_plan(state: State, actions: list[str]) -> None:
    assert container_runtime.plan(state) == actions


def test_observe_leaves_the_template_alone(tmp_path: Path) -> None:
    template, rendered = tmp_path / "containerd-template.toml", tmp_path / "containerd.toml"
    template.write_text("version = 2\n")
    state = container_runtime.observe(configure, template, rendered)
    assert state == State("version = 2\n", "version = 2\n[nvidia]\n", rendered_is_old=True)
    assert template.read_text() == "version = 2\n"


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    template, rendered = tmp_path / "containerd-template.toml", tmp_path / "containerd.toml"
    template.write_text("version = 2\n[nvidia]\n")
    rendered.write_text("")
    os.utime(template, (1, 1))
    assert container_runtime.plan(container_runtime.observe(configure, template, rendered)) == []


def test_a_restart_that_was_missed_is_seen(tmp_path: Path) -> None:
    template, rendered = tmp_path / "containerd-template.toml", tmp_path / "containerd.toml"
    template.write_text("version = 2\n[nvidia]\n")
    rendered.write_text("")
    os.utime(rendered, (1, 1))
    assert container_runtime.plan(container_runtime.observe(configure, template, rendered)) == ["restart containerd"]


def test_without_nvidia_ctk_nothing_is_known(tmp_path: Path) -> None:
    template = tmp_path / "containerd-template.toml"
    template.write_text("version = 2\n")
    state = container_runtime.observe(lambda *_: Output(MISSING), template, tmp_path / "none")
    assert state.after is None


def test_errors_name_the_remedy(tmp_path: Path) -> None:
    template = tmp_path / "containerd-template.toml"
    with pytest.raises(GroundworkError, match="Install MicroK8s first"):
        container_runtime.observe(configure, template, template)
    template.write_text("not toml")
    with pytest.raises(GroundworkError, match="default-args"):
        container_runtime.observe(lambda *_: Output(1, "", "no toml"), template, template)
