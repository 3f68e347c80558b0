"""Control groups of lab hosts: told apart by the machine's own mount table, cgroup v1 (hybrid) or plain v2.

On a hybrid machine, as systemd calls it, the controllers sit in v1 hierarchies and cgroup2 has none. A host then gets
a group of its own in every v1 hierarchy, below the groups of whoever starts it: its private cgroup namespace makes
these the roots it sees, and limits of its pods are real. On plain v2 the container runtime makes the host's one group,
and there is nothing to prepare.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import paths
from lab.run import wait_for

# One parent for all groups of this cache's labs, so that two caches on one machine never share a group.
PARENT = f"groundwork-{hashlib.sha256(str(paths.CACHE).encode()).hexdigest()[:8]}"
# A shell joins the groups before it becomes the command: what it starts inherits them. Arguments: GROUP... --
# COMMAND...
_JOIN = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit; shift; done; shift; exec "$@"'


@dataclass(frozen=True)
class Hierarchy:
    """A mounted hierarchy.

    Attributes:
        controllers: names as in /proc/self/cgroup, such as ("cpu", "cpuacct") or ("name=systemd",); none for cgroup2.
        mount: where it is mounted.
        own: the directory of the group that this process is in.
    """

    controllers: tuple[str, ...]
    mount: Path
    own: Path


def hierarchies(mountinfo: str, membership: str) -> list[Hierarchy]:
    """Read what is mounted and which groups we are in.

    Args:
        mountinfo: text of /proc/self/mountinfo.
        membership: text of /proc/self/cgroup.
    """
    groups = _groups(membership)
    found: dict[tuple[str, ...], Hierarchy] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, (kind, _, options) = left.split(), right.split(maxsplit=2)
        if kind not in {"cgroup", "cgroup2"}:
            continue
        controllers = (
            next((key for key in groups if key and set(key) <= set(options.split(","))), ()) if kind == "cgroup" else ()
        )
        mount = Path(_unescaped(fields[4]))
        found.setdefault(
            controllers, Hierarchy(controllers, mount, _below(mount, fields[3], groups.get(controllers, "/")))
        )
    return list(found.values())


def v1(found: Sequence[Hierarchy]) -> list[Hierarchy]:
    """Return the v1 hierarchies if it is them that limit memory; none on plain v2, whatever else is mounted."""
    old = [each for each in found if each.controllers]
    return old if any("memory" in each.controllers for each in old) else []


def mounted() -> list[Hierarchy]:
    """Read the hierarchies of this machine."""
    return hierarchies(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())


def create(name: str, memory_bytes: int | None = None) -> list[Path]:
    """Make the v1 groups of container `name`, with a limit on memory if one is given; none on plain v2.

    Returns the groups, for `joining`.
    """
    groups = []
    for hierarchy in v1(mounted()):
        group = hierarchy.own / PARENT / name
        group.mkdir(parents=True, exist_ok=True)
        if "cpuset" in hierarchy.controllers:
            _copy_cpuset(hierarchy.own, group)
        if "memory" in hierarchy.controllers and memory_bytes is not None:
            (group / "memory.limit_in_bytes").write_text(str(memory_bytes))
        groups.append(group)
    return groups


def joining(groups: Sequence[Path], command: Sequence[str]) -> list[str]:
    """Return a command that joins the groups and then becomes `command`."""
    return ["sh", "-c", _JOIN, "sh", *map(str, groups), "--", *command] if groups else list(command)


def remove(pattern: str) -> None:
    """Remove the groups whose name matches `pattern`, and the parents that are empty then, in every hierarchy.

    Raises:
        LabError: processes are still in them.
    """

    def left() -> str:
        busy = [group for group in _found(pattern) if not _removed(group)]
        return f"processes are left in {busy[0]}" if busy else ""

    wait_for(left, 10, "end the processes that its cgroup.procs lists")
    for hierarchy in mounted():
        for parent in hierarchy.mount.glob(f"**/{PARENT}"):
            _try_rmdir(parent)


def _groups(membership: str) -> dict[tuple[str, ...], str]:
    lines = (line.split(":", 2) for line in membership.splitlines() if line)
    return {tuple(filter(None, controllers.split(","))): path for _, controllers, path in lines}


def _below(mount: Path, root: str, group: str) -> Path:
    """A mount may show a part of its hierarchy only, from `root` on: the group's path inside the mount."""
    inside = group.removeprefix(root) if root != "/" else group
    return mount / inside.lstrip("/")


def _unescaped(path: str) -> str:
    """Spaces and the like are octal in /proc/self/mountinfo (proc(5))."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def _copy_cpuset(own: Path, group: Path) -> None:
    """Give CPUs and memory nodes to new groups: they have none, and no process can join them (cpusets(7))."""
    below = [parent for parent in group.parents if parent.is_relative_to(own) and parent != own]
    for target in [*reversed(below), group]:
        for file in ("cpuset.cpus", "cpuset.mems"):
            (target / file).write_text((own / file).read_text())


def _found(pattern: str) -> Iterator[Path]:
    for hierarchy in mounted():
        yield from hierarchy.mount.glob(f"**/{PARENT}/{pattern}")


def _removed(group: Path) -> bool:
    below = sorted((path for path in group.rglob("*") if path.is_dir()), key=lambda path: len(path.parts), reverse=True)
    left = [path for path in [*below, group] if not _try_rmdir(path)]
    return not left


def _try_rmdir(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
