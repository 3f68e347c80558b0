"""Xid messages: what the driver reports of a GPU in the kernel's log, and whose fault each number is.

Numbers, meanings and actions: NVIDIA's catalogue, https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html.
That a program's own are no fault of the GPU is also what NVIDIA's device plugin goes by (internal/rm/health.go).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ansible.module_utils.groundwork.command import Run
from ansible.module_utils.groundwork.errors import GroundworkError

Kind = Literal["program", "look", "broken"]
LINE = re.compile(
    r"NVRM: Xid \((?:PCI:)?(?P<place>[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})[^)]*\): (?P<number>\d+)"
)
# This boot's messages of the kernel. Where the kernel's own log is another's (a container's), root writes them by the
# kernel's name; what other users write by that name is not looked at.
COMMAND = ["journalctl", "--boot", "--no-pager", "--output=json", "--output-fields=MESSAGE"]
MATCHES = ["_TRANSPORT=kernel", "+", "SYSLOG_IDENTIFIER=kernel", "_UID=0"]

JOURNALS = ("run/log/journal", "var/log/journal")

COPY_ENGINES = (39, 40, 41, 70, 71, 72, 75, 76, 77, 85, *range(126, 136))
DECODERS = (68, 83, 84, 88, 89, 96, 97, 98)
JPEG_ENGINES = (82, *range(99, 106))

PROGRAM: dict[int, str] = {
    8: "the GPU stopped processing",
    11: "invalid commands",
    13: "an exception of the graphics engine",
    25: "invalid commands",
    31: "a page fault of GPU memory",
    32: "invalid commands",
    43: "the GPU stopped processing a program's work",
    45: "a program's work was cleaned up",
    60: "an exception of the video processor",
    69: "an error of the graphics engine's class",
    80: "corrupted data were sent to the GPU",
    86: "an exception of the optical flow engine",
    106: "a test message",
    107: "a test message",
    139: "an exception of the optical flow engine",
    **dict.fromkeys(COPY_ENGINES, "an exception of a copy engine"),
    **dict.fromkeys(DECODERS, "an exception of a video decoder"),
    **dict.fromkeys(JPEG_ENGINES, "an exception of a JPEG engine"),
}
"""A program's doing, or nothing: the catalogue has the program restarted, or the message ignored."""

LOOK: dict[int, str] = {
    37: "an error of the driver's firmware",
    38: "an error of the driver's firmware",
    44: "a fault of the graphics engine during a context switch",
    63: "a row of memory was remapped, or a page retired",
    66: "an illegal access by the driver",
    67: "an illegal access by the driver",
    92: "many corrected memory errors",
    93: "the InfoROM is near the end of its writes",
    94: "a memory error that was contained in one program",
    # The device plugin takes it for a program's own; the catalogue has the GPU reset where it comes again.
    109: "a context switch took too long",
    121: "an error of the link between chips",
    137: "an NVLink access was refused",
    141: "an error of CUDA's fast path",
    **dict.fromkeys(range(144, 151), "an error of NVLink, of which some kinds mend themselves"),
    152: "an error of the deep learning accelerator",
    153: "the deep learning accelerator took too long",
    154: "what the driver says would mend the GPU has changed",
    157: "a part of the GPU could not be retired",
    159: "an error of the coherent interconnect",
    160: "a memory channel was retired",
    161: "a memory channel could not be retired",
    **dict.fromkeys(range(162, 166), "a change of the power smoothing circuit"),
    166: "encrypted NVLink traffic came too early",
    168: "the GPU has less memory than it had",
    170: "an interrupt of secured NVLink",
}
"""The GPU works on, and somebody should look."""

RESET = "Drain the node and reset the GPU (`nvidia-smi --gpu-reset -i INDEX`), or reboot."
REBOOT = "Drain the node and reboot it; if it comes again, have the board, its power and its riser checked."
POWER = "Power the host off and see to the GPU's power connectors."
MEMORY = (
    "Drain the node and reset the GPU, or reboot; repeat the jobs that were on it (docs/runbooks/gpu-memory-faulty.md)."
)
NVLINK = "Drain the node and reset its GPUs, or reboot; if it comes again, have the NVLink bridge or baseboard checked."
UPDATE = "Bring driver and firmware up to date."
UNKNOWN = "Look the number up in NVIDIA's catalogue of Xid errors, and see docs/runbooks/gpu-xid.md."

BROKEN: dict[int, tuple[str, str]] = {
    46: ("the GPU stopped processing", RESET),
    48: ("a memory error that could not be corrected", MEMORY),
    54: ("auxiliary power is not connected", POWER),
    62: ("a micro-controller of the GPU halted", RESET),
    64: ("a row of memory could not be remapped, or a page not retired", MEMORY),
    74: ("an NVLink error", NVLINK),
    78: ("a vGPU did not start", UPDATE),
    79: ("the GPU has fallen off the bus", REBOOT),
    95: ("a memory error that was not contained", MEMORY),
    110: ("a security fault", RESET),
    119: ("the GPU's firmware (GSP) did not answer", RESET),
    120: ("an error of the GPU's firmware (GSP)", RESET),
    136: ("an NVLink could not be trained", NVLINK),
    140: ("a memory error that could not be recovered", MEMORY),
    143: ("the GPU could not be initialised", RESET),
    151: ("a rotation of keys failed", REBOOT),
    155: ("an NVLink error", NVLINK),
    156: ("a part of the GPU is to be retired", RESET),
    158: ("a fatal time-out of the GPU", RESET),
    167: ("a fatal time-out of PCIe", REBOOT),
    169: ("a micro-controller of the GPU halted", RESET),
    171: ("a memory error that could not be corrected, in DRAM", MEMORY),
    172: ("a memory error that could not be corrected, in SRAM", MEMORY),
}
"""The GPU's own, with what the catalogue has done at once."""


@dataclass(frozen=True)
class Seen:
    """An Xid of one GPU, and how often it came since the host's boot. `place` is its bus id without the function."""

    place: str
    number: int
    times: int = 1

    def __str__(self) -> str:
        """For people."""
        often = f", {self.times} times" if self.times > 1 else ""
        return f"Xid {self.number} ({meaning(self.number)}{often})"


@dataclass(frozen=True)
class KernelLog:
    """The Xids of this boot in the order of their first time, or why the log cannot be read."""

    xids: tuple[Seen, ...] = ()
    unread: str | None = None


def kind(number: int) -> Kind:
    """Whose an Xid is. A number that nobody explained is the GPU's own."""
    return "program" if number in PROGRAM else "look" if number in LOOK else "broken"


def meaning(number: int) -> str:
    """What it says, in words."""
    broken = BROKEN.get(number, ("not in the catalogue that is known here", ""))[0]
    return PROGRAM.get(number) or LOOK.get(number) or broken


def remedy(number: int) -> str:
    """What to do about one that is the GPU's own."""
    return BROKEN.get(number, ("", UNKNOWN))[1]


def parse(messages: Iterable[str]) -> tuple[Seen, ...]:
    """The Xids among messages of the kernel.

    >>> parse(["NVRM: Xid (PCI:0000:1B:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."])
    (Seen(place='0000:1b:00', number=79, times=1),)
    """
    matches = (match for message in messages for match in LINE.finditer(message))
    counted = Counter((_place(match["place"]), int(match["number"])) for match in matches)
    return tuple(Seen(place, number, times) for (place, number), times in counted.items())


def read(run: Run, timeout_seconds: float, root: Path = Path("/")) -> KernelLog:
    """The Xids in this host's journal since its boot. Where a host keeps no journal, journalctl says nothing at all."""
    if not any(next((root / journal).glob("*/*.journal"), None) for journal in JOURNALS):
        return KernelLog(unread="this host keeps no journal")
    try:
        output = run([*COMMAND, *MATCHES], timeout_seconds)
    except GroundworkError as error:
        return KernelLog(unread=error.message)
    lines = [line for line in output.stdout.splitlines() if line.startswith("{")]
    complaint = output.stderr.strip()
    if output.code or (complaint and not lines):
        return KernelLog(unread=f"the kernel's log cannot be read: {complaint or f'status {output.code}'}")
    return KernelLog(parse(map(_message, lines)))


def _place(text: str) -> str:
    """0000:1b:00 for any spelling of it."""
    domain, rest = text.lower().split(":", 1)
    return f"{int(domain, 16):04x}:{rest}"


def _message(line: str) -> str:
    try:
        return _text(json.loads(line).get("MESSAGE"))
    except ValueError:
        return ""


def _text(value: Any) -> str:
    """The journal gives what is no UTF-8 as a list of bytes, several values as a list of them, null for a long one.

    https://systemd.io/JOURNAL_EXPORT_FORMATS
    """
    if not isinstance(value, list):
        return value or ""
    if all(isinstance(one, int) for one in value):
        return bytes(value).decode(errors="replace")
    return "\n".join(map(_text, value))
