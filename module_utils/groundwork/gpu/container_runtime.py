"""The runtime `nvidia` in containerd's configuration, as NVIDIA's own tool writes it.

MicroK8s keeps a template, and writes the configuration that containerd reads out of it at every start of containerd.
So the template is what must say `nvidia`, and a configuration older than its template is one that containerd has yet to
read.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.groundwork.command import MISSING, Run
from ansible.module_utils.groundwork.errors import GroundworkError

COMMAND_SECONDS = 60.0

# The empty drop-in is needed: without it nvidia-ctk writes a second file, which MicroK8s never reads.
ARGUMENTS = (
    *("runtime", "configure", "--runtime=containerd", "--config-source=file"),
    *("--drop-in-config=", "--cdi.enabled"),
)


@dataclass(frozen=True)
class State:
    """What was found.

    Attributes:
        before: The template's text.
        after: The text that nvidia-ctk makes of it; None where nvidia-ctk is not installed yet.
        rendered_is_old: Whether containerd was last started before the template was last written.

    """

    before: str
    after: str | None
    rendered_is_old: bool


def observe(run: Run, template: Path, rendered: Path) -> State:
    """Lets nvidia-ctk work on a copy, so that what it would do is known before it is done.

    Raises GroundworkError where the template is missing or nvidia-ctk cannot read it.
    """
    if not template.exists():
        raise GroundworkError(f"There is no template {template}", "Install MicroK8s first; the template comes with it.")
    before = template.read_text(encoding="utf-8")
    old = not rendered.exists() or rendered.stat().st_mtime < template.stat().st_mtime
    return State(before, configured(run, before), old)


def configured(run: Run, text: str) -> str | None:
    """What nvidia-ctk makes of a configuration's text; None where nvidia-ctk is not there."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "containerd.toml"
        copy.write_text(text, encoding="utf-8")
        output = run(["nvidia-ctk", *ARGUMENTS, f"--config={copy}"], COMMAND_SECONDS)
        if output.code == MISSING:
            return None
        if output.code:
            raise GroundworkError(
                f"nvidia-ctk cannot configure containerd's template: {output.text}",
                "Correct the template, or put MicroK8s's own back from /snap/microk8s/current/default-args/.",
            )
        return copy.read_text(encoding="utf-8")


def plan(state: State) -> list[str]:
    """What is to be done, in words; empty where containerd already runs with the runtime."""
    if state.after is None:
        return ["configure the template", "restart containerd"]
    actions = ["configure the template"] if state.after != state.before else []
    return [*actions, "restart containerd"] if actions or state.rendered_is_old else []
