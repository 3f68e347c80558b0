"""What the driver shows of itself in /proc, and the device nodes that belong to it.

The driver's README tells of /proc/driver/nvidia; nodes and their modes are nvidia-modprobe's doing, by the driver's
parameters (NVreg_DeviceFileMode): https://github.com/NVIDIA/nvidia-modprobe.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NVIDIA = 195
CONTROL = 255
"""The driver's major number, and the minor one of nvidiactl; those of the other modules are given at load."""


@dataclass(frozen=True)
class Card:
    """A GPU of the driver's own list, in which those that do not answer stay."""

    bus_id: str
    uuid: str | None
    minor: int | None


@dataclass(frozen=True)
class Node:
    """A character device. Numbers are None where any will do, mode is None where nobody minds it."""

    major: int | None = None
    minor: int | None = None
    mode: int | None = None


@dataclass(frozen=True)
class Place:
    """Where a node should be, what it should be, and what was found: None is nothing, a text is something else."""

    path: str
    wanted: Node
    found: Node | str | None

    @property
    def fault(self) -> str | None:
        """What is wrong with it, in words."""
        if self.found is None or isinstance(self.found, str):
            return f"{self.path} is {self.found or 'missing'}"
        if self.wanted.major not in (None, self.found.major) or self.wanted.minor not in (None, self.found.minor):
            major = self.found.major if self.wanted.major is None else self.wanted.major
            return f"{self.path} is device {self.found.major}:{self.found.minor}, not {major}:{self.wanted.minor}"
        if self.wanted.mode is not None and self.found.mode != self.wanted.mode:
            return f"{self.path} has mode {self.found.mode:04o}, not {self.wanted.mode:04o}"
        return None


@dataclass(frozen=True)
class Driver:
    """The driver's list of GPUs in the order of NVML's indices, and the nodes; None where no driver is loaded."""

    cards: tuple[Card, ...]
    places: tuple[Place, ...]


def observe(proc: Path = Path("/proc"), dev: Path = Path("/dev")) -> Driver | None:
    """Look at the loaded driver's files and nodes."""
    own = proc / "driver/nvidia"
    if not (own / "version").exists():
        return None
    cards = tuple(_card(path) for path in sorted(own.glob("gpus/*/information")))
    mode = _mode(own / "params")
    wanted = {
        "nvidiactl": Node(NVIDIA, CONTROL, mode),
        "nvidia-uvm": Node(mode=mode),
        **{f"nvidia{card.minor}": Node(NVIDIA, card.minor, mode) for card in cards if card.minor is not None},
        **dict(_capabilities(own)),
    }
    return Driver(cards, tuple(Place(str(dev / name), node, _find(dev / name)) for name, node in wanted.items()))


def _capabilities(own: Path) -> Iterator[tuple[str, Node]]:
    """The nodes of MIG devices: without its own a program cannot use one."""
    for path in sorted(own.glob("capabilities/gpu*/mig/**/access")):
        told = _fields(path)
        if "DeviceFileMinor" in told:
            mode = (
                int(told["DeviceFileMode"])
                if told.get("DeviceFileModify") == "1" and "DeviceFileMode" in told
                else None
            )
            yield f"nvidia-caps/nvidia-cap{told['DeviceFileMinor']}", Node(None, int(told["DeviceFileMinor"]), mode)


def _card(path: Path) -> Card:
    told = _fields(path)
    minor = told.get("Device Minor", "")
    return Card(path.parent.name, told.get("GPU UUID"), int(minor) if minor.isdigit() else None)


def _mode(params: Path) -> int | None:
    """The mode that the driver wants its nodes to have; None where somebody else sees to them."""
    told = _fields(params)
    mode = told.get("DeviceFileMode", "")
    return int(mode) if told.get("ModifyDeviceFiles") == "1" and mode.isdigit() else None


def _fields(path: Path) -> dict[str, str]:
    """A file of lines `key: value`; it may go while a GPU does."""
    try:
        pairs = (line.split(":", 1) for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
        return {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}
    except OSError:
        return {}


def _find(path: Path) -> Node | str | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    if not stat.S_ISCHR(seen.st_mode):
        return "no character device"
    return Node(os.major(seen.st_rdev), os.minor(seen.st_rdev), stat.S_IMODE(seen.st_mode))
