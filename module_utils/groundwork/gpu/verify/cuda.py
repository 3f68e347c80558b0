"""Whether CUDA starts on this host: NVML can find all well where no program can compute.

Codes and their meanings: https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html, enum CUresult.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.groundwork import child
from ansible.module_utils.groundwork.errors import GroundworkError

LIBRARY = "libcuda.so.1"
NO_DEVICE = 100
HIDDEN_BY = "CUDA_VISIBLE_DEVICES"
DMESG = "See dmesg for NVRM and Xid lines; if there is none, drain the node and reboot it."
CODES: dict[int, tuple[str, str]] = {
    2: ("out of memory", "See `nvidia-smi` for what holds the GPUs' memory."),
    3: ("not initialised", DMESG),
    34: ("a stub library", f"Take CUDA's stubs out of the linker's path, so that the driver's {LIBRARY} is found."),
    46: ("device unavailable", "See compute mode and the processes of the GPUs with `nvidia-smi`."),
    NO_DEVICE: (
        "no device",
        "See whether the GPUs answer, their device nodes, and whether one in MIG mode has instances.",
    ),
    101: ("invalid device", DMESG),
    304: ("a call to the operating system failed", "See whether /dev/nvidia-uvm is there and may be opened."),
    802: (
        "system not yet ready",
        "Have Fabric Manager run, of exactly the driver's version: see `systemctl status nvidia-fabricmanager`.",
    ),
    803: (
        "driver and library have different versions",
        "Drain the node and reboot it, so that the kernel loads the module that is installed.",
    ),
    804: (
        "forward compatibility is not supported on this GPU",
        f"Take the package cuda-compat away: its {LIBRARY} hides the driver's.",
    ),
    805: ("MPS does not answer", "Restart nvidia-cuda-mps-control, or stop it."),
    999: ("unknown error", "See whether /dev/nvidia-uvm is there (`modprobe nvidia-uvm`); then dmesg for NVRM lines."),
}


@dataclass(frozen=True)
class Cuda:
    """What cuInit answered and how many devices it counts; or why there was no answer, and what to do."""

    code: int | None = None
    devices: int = 0
    reason: str = ""
    remedy: str = ""


def initialise(timeout_seconds: float, load: Callable[[str], Any] = ctypes.CDLL) -> Cuda:
    """Start CUDA in a child, since cuInit hangs where a GPU does. It makes no context and takes no GPU memory."""
    try:
        return child.call(lambda: _initialise(load), timeout_seconds, "CUDA (cuInit)")
    except GroundworkError as error:
        return Cuda(reason=error.message, remedy=error.remedy)


def _initialise(load: Callable[[str], Any]) -> Cuda:
    os.environ.pop(HIDDEN_BY, None)
    try:
        library = load(LIBRARY)
    except OSError as error:
        return Cuda(
            reason=f"{LIBRARY} cannot be loaded: {error}", remedy="Install the driver: role gpu_driver brings it."
        )
    code, devices = int(library.cuInit(0)), ctypes.c_int(0)
    if code == 0:
        code = int(library.cuDeviceGetCount(ctypes.byref(devices)))
    return Cuda(code, devices.value, *_words(code))


def _words(code: int) -> tuple[str, str]:
    if code == 0:
        return "", ""
    meaning, remedy = CODES.get(code, ("see CUresult in NVIDIA's CUDA Driver API", DMESG))
    return f"error {code}: {meaning}", remedy
