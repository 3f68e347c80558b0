"""A device program for a cgroup of version 2, as container runtimes attach one; this one refuses every device."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

SYSCALL = 321  # bpf(2) on x86_64
LOAD, ATTACH = 5, 8
CGROUP_DEVICE = 15  # the program's type; 6 is its place at a cgroup
PLACE = 6
RETURN_ZERO = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)  # r0 = 0; exit


def refuse_devices(group: Path) -> None:
    """Attach the program; it goes with the cgroup. Raises OSError where the kernel does not let us."""
    code, licence = ctypes.create_string_buffer(RETURN_ZERO), ctypes.create_string_buffer(b"GPL")
    addresses = ctypes.addressof(code), ctypes.addressof(licence)
    program = _bpf(LOAD, struct.pack("<IIQQIIQII", CGROUP_DEVICE, 2, *addresses, 0, 0, 0, 0, 0))
    descriptor = os.open(group, os.O_RDONLY)
    try:
        _bpf(ATTACH, struct.pack("<IIII", descriptor, program, PLACE, 0))
    finally:
        os.close(descriptor)
        os.close(program)


def _bpf(command: int, attributes: bytes) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    answer: int = library.syscall(SYSCALL, command, ctypes.create_string_buffer(attributes, 128), 128)
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "bpf")
    return answer
