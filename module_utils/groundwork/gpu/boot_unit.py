"""The unit that applies a declaration at each boot: our own code on the host, the declaration, and the unit itself.

The code is what the module that calls this runs with: no second implementation, and no package to keep in step.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ansible.module_utils.groundwork import text_files
from ansible.module_utils.groundwork.command import Run
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import boot
from ansible.module_utils.groundwork.text_files import Difference

PACKAGE = "ansible.module_utils.groundwork"
PROGRAM = f"{PACKAGE}.gpu.boot"
PARENTS = {name: f'"""Only what Groundwork brings of {name}."""\n' for name in ("ansible", "ansible.module_utils")}
"""So that no Ansible beside the interpreter is taken for ours."""
LIBRARY = "opt/groundwork/lib"
UNITS = "etc/systemd/system"
SYSTEMCTL_SECONDS = 60.0
START_SECONDS = 300.0
"""A boot is not held up for longer than this by GPUs that hang."""

UNIT = """\
# By Groundwork: playbooks/gpu.yml writes it anew.
[Unit]
Description={description}
After=nvidia-persistenced.service {after}
# Containers that start with the node, and what CDI offers them, must find the GPUs as declared.
Before=nvidia-cdi-refresh.service groundwork-cdi-refresh.service
Before=snap.microk8s.daemon-containerd.service snap.microk8s.daemon-kubelite.service

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec={timeout:.0f}
Environment=PYTHONPATH={library}
ExecStart={python} -m {program} {name}

[Install]
WantedBy=multi-user.target
"""
DESCRIPTIONS = {"mig": "The MIG layout, as declared", "settings": "The settings of GPUs, as declared"}

Step = Literal["write", "enable", "start", "disable", "remove"]


@dataclass(frozen=True)
class Wanted:
    """A declaration: whose it is, and what its worker is given. `venv` has the interpreter that runs it."""

    name: str
    arguments: Mapping[str, Any]
    venv: Path


@dataclass(frozen=True)
class State:
    """What is there.

    differences  files that are not as wanted
    enabled      systemd starts the unit at boots
    active       its last start did well
    there        it has files of its own
    """

    differences: tuple[Difference, ...] = ()
    enabled: bool = False
    active: bool = False
    there: bool = False


def unit(name: str) -> str:
    """The unit's name."""
    return f"groundwork-gpu-{name}.service"


def observe(run: Run, root: Path, wanted: Wanted) -> State:
    """What is there."""
    properties = ["--property=ActiveState", "--property=UnitFileState"]
    output = run(["systemctl", "show", *properties, unit(wanted.name)], SYSTEMCTL_SECONDS)
    told = dict(line.split("=", 1) for line in output.stdout.splitlines() if "=" in line)
    return State(
        differences=tuple(text_files.plan(root, files(wanted))),
        enabled=told.get("UnitFileState") == "enabled",
        active=told.get("ActiveState") == "active",
        there=any((root / path).exists() for path in own(wanted.name)),
    )


def plan(state: State, present: bool) -> tuple[Step, ...]:
    """The steps, in order. What was written anew is started as well: it is seen to work now, not at the next boot."""
    if not present:
        gone: list[Step] = ["disable"] if state.enabled or state.active else []
        return (*gone, "remove") if state.there else tuple(gone)
    steps: list[Step] = ["write"] if state.differences else []
    steps += [] if state.enabled else ["enable"]
    steps += [] if state.active and not state.differences else ["start"]
    return tuple(steps)


def apply(run: Run, root: Path, wanted: Wanted, state: State, steps: Sequence[Step]) -> None:
    """Take the steps.

    Raises GroundworkError where systemd refuses, or the unit does not do well, with what it said.
    """
    for step in steps:
        if step == "write":
            text_files.apply(root, state.differences)
            if any(one.path == root / own(wanted.name)[1] for one in state.differences):
                _systemctl(run, "daemon-reload")
        elif step == "remove":
            _remove(root, wanted.name)
            _systemctl(run, "daemon-reload")
        elif step == "start":
            _start(run, unit(wanted.name))
        else:
            _systemctl(run, step, *(["--now"] if step == "disable" else []), unit(wanted.name))


def told(state: State, steps: Sequence[Step], wanted: Wanted) -> dict[str, Any]:
    """What module gpu_boot_unit returns. Our own code is left out of the difference: it is long, and not the user's."""
    shown = [one for one in state.differences if one.path.name in {unit(wanted.name), f"{wanted.name}.json"}]
    return {
        "changed": bool(steps),
        "actions": [f"{step} {unit(wanted.name)}" for step in steps],
        "unit": unit(wanted.name),
        "enabled": state.enabled,
        "active": state.active,
        "diff": [
            {"before_header": str(one.path), "after_header": str(one.path), "before": one.before, "after": one.after}
            for one in (shown if "write" in steps else [])
        ],
    }


def files(wanted: Wanted) -> dict[str, str]:
    """The text of each file by its path from the root."""
    declaration, service = own(wanted.name)
    names = list(boot.WORKERS)
    text = UNIT.format(
        description=DESCRIPTIONS[wanted.name],
        after=" ".join(unit(name) for name in names[: names.index(wanted.name)]),
        timeout=START_SECONDS,
        library=f"/{LIBRARY}",
        python=wanted.venv / "bin/python",
        program=PROGRAM,
        name=wanted.name,
    )
    code = {f"{LIBRARY}/{_path(name)}": source for name, source in {**PARENTS, **sources(PROGRAM)}.items()}
    return {
        **code,
        declaration: json.dumps(wanted.arguments, indent=2, sort_keys=True) + "\n",
        service: text.replace(" \n", "\n"),
    }


def own(name: str) -> tuple[str, str]:
    """The files of one declaration alone: itself and its unit."""
    return f"{boot.DECLARATIONS.relative_to('/')}/{name}.json", f"{UNITS}/{unit(name)}"


def sources(program: str) -> dict[str, str]:
    """The source of a module of ours, and of all of ours that it imports, by their names."""
    found: dict[str, str] = {}
    asked = [program]
    while asked:
        name = asked.pop()
        source = None if name in found else _source(name)
        if source is not None:
            found[name] = source
            asked += [*_parents(name), *_imported(source)]
    return found


def _source(name: str) -> str | None:
    """None where there is no such module: the name of a class or function in one."""
    try:
        specification = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # its parent is a module, not a package
        return None
    read = getattr(specification.loader, "get_source", None) if specification else None
    text: str | None = read(name) if read else None
    return text


def _imported(source: str) -> Iterator[str]:
    """What of ours a source may import; `from a import b` may mean a module b as well as a name in a."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _parents(name: str) -> list[str]:
    """The packages that a module of ours is in."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(PACKAGE.split(".")), len(parts))]


def _path(name: str) -> str:
    """Where Python looks for a module, or a package by its own file."""
    specification = importlib.util.find_spec(name)
    is_package = name in PARENTS or (specification is not None and specification.submodule_search_locations is not None)
    return name.replace(".", "/") + ("/__init__.py" if is_package else ".py")


def _remove(root: Path, name: str) -> None:
    for path in own(name):
        (root / path).unlink(missing_ok=True)
    declarations = root / boot.DECLARATIONS.relative_to("/")
    if not any(declarations.glob("*.json")):  # the last one: nobody needs the code any more
        shutil.rmtree(root / LIBRARY, ignore_errors=True)
        shutil.rmtree(declarations, ignore_errors=True)


def _start(run: Run, name: str) -> None:
    output = run(["systemctl", "restart", name], START_SECONDS + SYSTEMCTL_SECONDS)
    if output.code:
        said = run(["journalctl", "--unit", name, "--lines", "5", "--output", "cat", "--no-pager"], SYSTEMCTL_SECONDS)
        raise GroundworkError(
            f"{name} does not do well: {said.text or output.text}", f"See `journalctl --unit {name}`, then run again."
        )


def _systemctl(run: Run, *arguments: str) -> None:
    output = run(["systemctl", *arguments], SYSTEMCTL_SECONDS)
    if output.code:
        raise GroundworkError(
            f"`systemctl {' '.join(arguments)}` failed: {output.text}", "See `journalctl --boot`, and run again."
        )
