"""The GPUs that are plugged into a lab host, and what happens to them.

One INI file a host, `etc/nvidia/double.ini`, is the hardware: the NVML double reads and writes it (library/state.c has
the fields), a fault is a key in it. Beside it `etc/nvidia/sys/` holds the GPUs' PCI functions, which a host shows from
its first boot, driver or not. All else (device nodes, /proc/driver) comes with the kernel module and goes with it.

The file is rewritten in place under a lock, never renamed: on the host and in every pod it is a bind mount or a hard
link of this very inode.
"""

from __future__ import annotations

import configparser
import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

STATE = Path("nvidia/double.ini")
FUNCTIONS = Path("nvidia/sys/bus/pci/devices")
NO_FAULT = {"model", "product", "uuid", "serial", "pci", "minor", "numa"}  # what a GPU is
NO_FAULT |= {"mig", "mig_pending", "persistence", "power_limit_w"}  # how it was set
MAX_GPUS = 16  # MAX_GPU of library/double.h
MAX_PROCESSES = 32
MAX_EVENTS = 64
XID_EVENT = 8  # nvmlEventTypeXidCriticalError

# Buses of the eight GPUs of an HGX board, as published `nvidia-smi` outputs show them; sixteen for two boards.
BUSES = (0x1B, 0x43, 0x52, 0x61, 0x9D, 0xC3, 0xD1, 0xDF, 0x1C, 0x44, 0x53, 0x62, 0x9E, 0xC4, 0xD2, 0xE0)


@dataclass(frozen=True)
class Model:
    """What PCI says of a GPU model: https://pci-ids.ucw.cz, vendor 10de. The rest is in library/models.c."""

    name: str
    device: int
    subsystem: int


MODELS = {
    "A100-80GB": Model("NVIDIA A100-SXM4-80GB", 0x20B2, 0x147F),
    "H100-80GB": Model("NVIDIA H100 80GB HBM3", 0x2330, 0x16C1),
    "H200-141GB": Model("NVIDIA H200", 0x2335, 0x18BE),
    "L40S": Model("NVIDIA L40S", 0x26B9, 0x1851),
}


def create(etc: Path, host: str, model: str, count: int) -> None:
    """Plug `count` GPUs of `model` into the host whose /etc/lab is `etc`; none is allowed.

    A host that has GPUs keeps them as they are, faults included.

    Raises:
        LabError: no such model, or more GPUs than a host takes.
    """
    if model not in MODELS and count:
        raise LabError(f"{host}: there is no GPU model {model!r}", f"choose from: {', '.join(MODELS)}")
    if not 0 <= count <= MAX_GPUS:
        raise LabError(f"{host}: {count} GPUs do not fit into a host", f"give 0 to {MAX_GPUS}")
    if not count or (etc / STATE).exists():
        return
    ini = _parser()
    ini["host"] = {}
    for index in range(count):
        ini[f"gpu.{index}"] = _gpu(host, model, index)
        _write_function(etc / FUNCTIONS / _address(index), MODELS[model], numa=_numa(index))
    temporary = (etc / STATE).with_suffix(".new")
    with temporary.open("w") as file:
        ini.write(file)
    temporary.chmod(0o644)  # pods of any user ask NVML
    temporary.rename(etc / STATE)


def uuids(etc: Path) -> list[str]:
    """The UUIDs of the host's GPUs, in order."""
    if not (etc / STATE).exists():
        return []
    with change(etc, write=False) as ini:
        return [ini[name]["uuid"] for name in _gpus(ini)]


def lose(etc: Path, gpu: int) -> None:
    """The GPU falls off the bus: every call but those of its identity fails with GPU_IS_LOST; Xid 79 says so."""
    put(etc, gpu, fault="lost")
    xid(etc, gpu, 79)


def hang(etc: Path, gpu: int) -> None:
    """Calls about the GPU do not return."""
    put(etc, gpu, fault="hang")


def xid(etc: Path, gpu: int, number: int) -> None:
    """The driver reports Xid `number`; who waits for NVML's events gets it."""
    with change(etc) as ini:
        _section(ini, gpu)
        newest = ini.getint("host", "events", fallback=0) + 1
        ini["host"]["events"] = str(newest)
        ini.remove_section(f"event.{newest - MAX_EVENTS}")
        ini[f"event.{newest}"] = {"gpu": str(gpu), "type": str(XID_EVENT), "data": str(number)}


def put(etc: Path, gpu: int, **values: str | int) -> None:
    """Set fields of a GPU (library/state.c), such as temperature=91, links_down="3,7", fail="nvmlDeviceGetName:999"."""
    with change(etc) as ini:
        section = _section(ini, gpu)
        section.update({key: str(value) for key, value in values.items()})


def put_host(etc: Path, **values: str | int) -> None:
    """Set fields of the host: fault="mismatch" or "no_permission", cuda_fault="802"."""
    with change(etc) as ini:
        ini["host"].update({key: str(value) for key, value in values.items()})


def occupy(etc: Path, gpu: int, pid: int, name: str, memory_mib: int) -> None:
    """A process computes on the GPU."""
    with change(etc) as ini:
        _section(ini, gpu)
        free = next(n for n in range(MAX_PROCESSES) if not ini.has_section(f"gpu.{gpu}.proc.{n}"))
        ini[f"gpu.{gpu}.proc.{free}"] = {"pid": str(pid), "name": name, "mem_mib": str(memory_mib)}


def vacate(etc: Path, gpu: int) -> None:
    """No process is on the GPU any more."""
    with change(etc) as ini:
        for name in [name for name in ini.sections() if name.startswith(f"gpu.{gpu}.proc.")]:
            ini.remove_section(name)


def clear(etc: Path) -> None:
    """Every fault is gone: the hardware is as new. Processes and MIG stay; events are history and stay too."""
    if not (etc / STATE).exists():
        return
    with change(etc) as ini:
        for key in ("fault", "fail", "cuda_fault"):
            ini.remove_option("host", key)
        for name in _gpus(ini):
            for key in set(ini[name]) - NO_FAULT:
                ini.remove_option(name, key)


@contextmanager
def change(etc: Path, *, write: bool = True) -> Iterator[configparser.ConfigParser]:
    """The state under its lock; written back, in place, when the block ends well.

    Raises:
        LabError: the host has no GPUs.
    """
    try:
        descriptor = os.open(etc / STATE, os.O_RDWR if write else os.O_RDONLY)
    except FileNotFoundError:
        raise LabError("this host has no GPU", "name a host that was raised with gpus=MODELxN") from None
    with os.fdopen(descriptor, "r+" if write else "r") as file:
        fcntl.flock(file, fcntl.LOCK_EX if write else fcntl.LOCK_SH)
        ini = _parser()
        ini.read_file(file)
        yield ini
        if write:
            file.seek(0)
            ini.write(file)
            file.truncate()


def _parser() -> configparser.ConfigParser:
    return configparser.ConfigParser(interpolation=None, default_section="-")


def _gpus(ini: configparser.ConfigParser) -> list[str]:
    return [name for name in ini.sections() if name.startswith("gpu.") and name.count(".") == 1]


def _section(ini: configparser.ConfigParser, gpu: int) -> configparser.SectionProxy:
    name = f"gpu.{gpu}"
    if not ini.has_section(name):
        raise LabError(f"this host has no GPU {gpu}", f"it has {len(_gpus(ini))}, counted from 0")
    return ini[name]


def _gpu(host: str, model: str, index: int) -> dict[str, str]:
    return {
        "model": model,
        "product": MODELS[model].name,
        "uuid": f"GPU-{uuid.uuid5(uuid.NAMESPACE_DNS, f'{host}/{index}')}",
        "serial": f"165352{uuid.uuid5(uuid.NAMESPACE_DNS, host).int % 10**5:05d}{index:02d}",
        "pci": f"0000{_address(index).upper()}",
        "minor": str(index),
        "numa": str(_numa(index)),
    }


def _address(index: int) -> str:
    return f"0000:{BUSES[index]:02x}:00.0"


def _numa(index: int) -> int:
    return index // 4 % 2


def _write_function(folder: Path, model: Model, numa: int) -> None:
    """A PCI function as sysfs shows it to lspci, node feature discovery and our modules; nothing is bound to it yet."""
    bar = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
    texts = {
        "vendor": "0x10de\n",
        "device": f"{model.device:#06x}\n",
        "class": "0x030200\n",  # a 3D controller
        "revision": "0xa1\n",
        "subsystem_vendor": "0x10de\n",
        "subsystem_device": f"{model.subsystem:#06x}\n",
        "numa_node": f"{numa}\n",
        "irq": "0\n",
        "current_link_speed": "32.0 GT/s PCIe\n",
        "current_link_width": "16\n",
        "max_link_speed": "32.0 GT/s PCIe\n",
        "max_link_width": "16\n",
        "resource": "0x00000000b0000000 0x00000000b0ffffff 0x0000000000040200\n" + bar * 12,
        "modalias": f"pci:v000010DEd{model.device:08X}sv000010DEsd{model.subsystem:08X}bc03sc02i00\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "config").write_bytes(_configuration_space(model))


def _configuration_space(model: Model) -> bytes:
    """The standard header; no capability list, so that nothing takes the GPU for a virtual one."""
    space = bytearray(4096)
    space[0x00:0x04] = (0x10DE).to_bytes(2, "little") + model.device.to_bytes(2, "little")
    space[0x08:0x0C] = bytes((0xA1, 0x00, 0x02, 0x03))  # revision, then the class from its last byte on
    space[0x2C:0x30] = (0x10DE).to_bytes(2, "little") + model.subsystem.to_bytes(2, "little")
    return bytes(space)
