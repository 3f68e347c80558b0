"""The GPUs that are plugged into a lab host, and what happens to them.

One INI file a host, `etc/nvidia/double.ini`, is the hardware: the NVML double reads and writes it (library/state.c has
the fields), a fault is a key in it. Beside it `etc/nvidia/sys/` holds the GPUs' PCI functions, which a host shows from
its first boot, driver or not. All else (device nodes, /proc/driver) comes with the kernel module and goes with it.
`etc/nvidia/bought.ini` is the state as it was made: what mending goes back to.

The file is rewritten in place under a lock, never renamed: on the host and in every pod it is a bind mount or a hard
link of this very inode.
"""

from __future__ import annotations

import configparser
import fcntl
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lab.doubles.nvidia import pci
from lab.doubles.nvidia.pci import MODELS, SPEEDS
from lab.errors import LabError

STATE = Path("nvidia/double.ini")
BOUGHT = Path("nvidia/bought.ini")
VERSION = Path("nvidia/proc/driver/nvidia/version")
LOADED = Path("nvidia/loaded")  # the version of the module that is loaded, while it claims another
FUNCTIONS = Path("nvidia/sys/bus/pci/devices")
IDENTITY = {"model", "product", "uuid", "serial", "pci", "minor", "numa"}  # what a GPU is
NO_FAULT = IDENTITY | {"mig", "mig_pending", "persistence", "power_limit_mw", "compute_mode"}  # and how it was set
NO_FAULT |= {"lock_gpu_min", "lock_gpu_max", "lock_mem_min", "lock_mem_max", "ecc", "ecc_pending"}
HOST_FAULTS = ("fault", "fail", "cuda_fault")
MAX_GPUS = 16  # MAX_GPU of library/double.h
MAX_PROCESSES = 32
MAX_EVENTS = 64
XID_EVENT = 8  # nvmlEventTypeXidCriticalError

# Buses of the eight GPUs of an HGX board, as published `nvidia-smi` outputs show them; sixteen for two boards.
BUSES = (0x1B, 0x43, 0x52, 0x61, 0x9D, 0xC3, 0xD1, 0xDF, 0x1C, 0x44, 0x53, 0x62, 0x9E, 0xC4, 0xD2, 0xE0)


# What the driver writes into the kernel's log behind an Xid's number, process and name, as published logs have it.
# https://docs.nvidia.com/deploy/xid-errors/
XIDS = {
    13: "Graphics SM Warp Exception on (GPC 7, TPC 7, SM 0): Illegal Instruction Parameter",
    31: "Ch 00000010, intr 00000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_0 faulted @ 0x7f3e_00000000. "
    "Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_READ",
    43: "Ch 00000010",
    45: "Ch 00000010",
    48: "An uncorrectable double bit error (DBE) has been detected on GPU in the framebuffer at partition 6, "
    "subpartition 0.",
    63: "Row Remapper: New row (0x0000000000000c52) marked for remapping, reset gpu to activate.",
    64: "Row Remapper: Row remapping failed, all reserved rows for bank are remapped",
    74: "NVLink: fatal error detected on link 3(0x10000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)",
    79: "GPU has fallen off the bus.",
    94: "Contained: SM (0x1). RST: No, D-RST: No",
    95: "Uncontained: LTC TAG (0x2,0x0). RST: Yes, D-RST: No",
    119: "Timeout after 6s of waiting for RPC response from GPU0 GSP! Expected function 76 (GSP_RM_CONTROL) "
    "(0x20801348 0x410).",
}

# Why clocks are held back, as nvidia-smi -q calls it; NVML's bits (nvmlClocksEventReason...).
THROTTLES = {
    "sw_power_cap": 0x4,
    "hw_slowdown": 0x8,
    "sync_boost": 0x10,
    "sw_thermal_slowdown": 0x20,
    "hw_thermal_slowdown": 0x40,
    "hw_power_brake_slowdown": 0x80,
}
FABRIC_STATES = ("not_supported", "not_started", "in_progress", "completed")


MAX_SWITCHES = 4
SWITCH_BUSES = (0x05, 0x06, 0x07, 0x08)


def create(etc: Path, host: str, model: str, count: int, switches: int = 0) -> None:
    """Plug `count` GPUs of `model` into the host whose /etc/lab is `etc`, and so many NVSwitches; no GPU is allowed.

    A host that has GPUs keeps them as they are, faults included.

    Raises:
        LabError: no such model, more than a host takes, or switches for GPUs that know none.
    """
    if model not in MODELS and count:
        raise LabError(f"{host}: there is no GPU model {model!r}", f"choose from: {', '.join(MODELS)}")
    if not 0 <= count <= MAX_GPUS:
        raise LabError(f"{host}: {count} GPUs do not fit into a host", f"give 0 to {MAX_GPUS}")
    if not 0 <= switches <= MAX_SWITCHES or (switches and not (count and MODELS[model].switch)):
        raise LabError(f"{host}: {switches} NVSwitches do not go with {count} {model}", f"give 0 to {MAX_SWITCHES}")
    if not count or (etc / STATE).exists():
        return
    ini = _parser()
    ini["host"] = {"switches": str(switches)} if switches else {}
    for index in range(count):
        ini[f"gpu.{index}"] = _gpu(host, model, index)
        pci.write_gpu(etc / FUNCTIONS / _address(BUSES[index]), MODELS[model], numa=_numa(index))
    if switch := MODELS[model].switch:
        for bus in SWITCH_BUSES[:switches]:
            pci.write_switch(etc / FUNCTIONS / _address(bus), switch)
    for file in (etc / BOUGHT, etc / STATE):
        _write_new(file, ini)


def uuids(etc: Path) -> list[str]:
    """The UUIDs of the host's GPUs, in order."""
    if not (etc / STATE).exists():
        return []
    with change(etc, write=False) as ini:
        return [ini[name]["uuid"] for name in _gpus(ini)]


def lose(etc: Path, gpu: int) -> str:
    """The GPU falls off the bus: every call but those of its identity fails with GPU_IS_LOST; Xid 79 says so."""
    put(etc, gpu, fault="lost")
    return xid(etc, gpu, 79)


def hang(etc: Path, gpu: int) -> None:
    """Calls about the GPU do not return."""
    put(etc, gpu, fault="hang")


def xid(etc: Path, gpu: int, number: int) -> str:
    """The driver reports Xid `number`; who waits for NVML's events gets it.

    Returns:
        What it writes into the kernel's log.
    """
    with change(etc) as ini:
        section = _section(ini, gpu)
        newest = ini.getint("host", "events", fallback=0) + 1
        ini["host"]["events"] = str(newest)
        ini.remove_section(f"event.{newest - MAX_EVENTS}")
        ini[f"event.{newest}"] = {"gpu": str(gpu), "type": str(XID_EVENT), "data": str(number)}
        place = section["pci"].removeprefix("0000").rpartition(".")[0].lower()
    text = XIDS.get(number, "")
    return f"NVRM: Xid (PCI:{place}): {number}, pid='<unknown>', name=<unknown>, {text}".removesuffix(", ")


def corrupt(etc: Path, gpu: int, count: int) -> str:
    """Memory has `count` errors that ECC cannot correct, since the driver was loaded and in all; Xid 48 says so."""
    put(etc, gpu, ecc_uncorrected=count, ecc_uncorrected_total=count)
    return xid(etc, gpu, 48)


def remap(etc: Path, gpu: int, how: str) -> str:
    """A row of memory is replaced by a spare one at the next reset ("pending"), or no spare is left ("failed").

    Raises:
        LabError: it is neither, or the model retires pages instead.
    """
    if how not in {"pending", "failed"}:
        raise LabError(f"remapping cannot be {how!r}", "say pending or failed")
    if MODELS[_model(etc, gpu)].retires:
        raise LabError(f"a {_model(etc, gpu)} remaps no rows", "retire pages of its memory instead: gpu-retired-pages")
    put(etc, gpu, **{"remap_uncorrected": 1, f"remap_{how}": 1})
    return xid(etc, gpu, 63 if how == "pending" else 64)


def retire(etc: Path, gpu: int, count: int) -> str:
    """So many pages of memory were retired for double bit errors; the driver leaves them out from the next reboot on.

    Raises:
        LabError: the model remaps rows instead.
    """
    if not MODELS[_model(etc, gpu)].retires:
        raise LabError(
            f"a {_model(etc, gpu)} retires no pages, as Ampere and newer", "remap a row (gpu-remap), or take a T4"
        )
    put(etc, gpu, retired_dbe=count, retired_pending=1)
    return xid(etc, gpu, 63)


def throttle(etc: Path, gpu: int, reason: str) -> None:
    """Clocks are held back.

    Raises:
        LabError: for no reason that NVML knows.
    """
    if reason not in THROTTLES:
        raise LabError(f"clocks are not held back by {reason!r}", f"choose from: {', '.join(THROTTLES)}")
    put(etc, gpu, throttle=THROTTLES[reason])


def narrow(etc: Path, gpu: int, generation: int, width: int) -> None:
    """The PCIe link was negotiated at this generation and width; NVML and the kernel's PCI tree say so.

    Raises:
        LabError: there is no such generation.
    """
    if generation not in SPEEDS:
        raise LabError(f"PCIe has no generation {generation} here", f"give {min(SPEEDS)} to {max(SPEEDS)}")
    put(etc, gpu, link_gen=generation, link_width=width)
    _show_link(etc, gpu, generation, width)


def fabric(etc: Path, state: str) -> None:
    """NVLink's fabric of all GPUs is in this state; while it is not completed, CUDA waits for it (error 802).

    Raises:
        LabError: there is no such state.
    """
    if state not in FABRIC_STATES:
        raise LabError(f"a fabric is not {state!r}", f"choose from: {', '.join(FABRIC_STATES)}")
    with change(etc) as ini:
        for name in _gpus(ini):
            ini[name]["fabric"] = state
        ini["host"]["cuda_fault"] = "0" if state in {"not_supported", "completed"} else "802"


def claim(etc: Path, version: str) -> None:
    """The loaded kernel module is of this version, as after an upgrade without a reboot: the library refuses it.

    Raises:
        LabError: no driver is loaded.
    """
    with change(etc) as ini:
        loaded = ini["host"].get("driver", "")
        if not loaded:
            raise LabError("no driver is loaded on this host", "install it first: site.yml does")
        ini["host"]["driver"] = version
    if not (etc / LOADED).exists():
        (etc / LOADED).write_text(loaded)
    _rename_version(etc, loaded, version)


def unplug(etc: Path, gpu: int) -> None:
    """The GPU is not there, as after a reboot that did not find it: fewer are counted, PCI does not have it."""
    put(etc, gpu, unplugged=1)
    place = _place(etc, gpu)
    (etc / FUNCTIONS / place).rename(_drawer(etc) / place)


def replace(etc: Path, gpu: int, model: str) -> None:
    """Another card is in the GPU's slot: another model, UUID and serial number.

    Raises:
        LabError: there is no such model.
    """
    if model not in MODELS:
        raise LabError(f"there is no GPU model {model!r}", f"choose from: {', '.join(MODELS)}")
    with change(etc) as ini:
        section = _section(ini, gpu)
        new = uuid.uuid5(uuid.NAMESPACE_DNS, f"{section['uuid']}/{model}")
        section.update(
            model=model, product=MODELS[model].name, uuid=f"GPU-{new}", serial=f"165352{new.int % 10**7:07d}"
        )
        numa = int(section["numa"])
    pci.write_gpu(etc / FUNCTIONS / _place(etc, gpu), MODELS[model], numa)


def put(etc: Path, gpu: int, **values: str | int) -> None:
    """Set fields of a GPU (library/state.c), such as temperature=91, links_down="3,7", fail="nvmlDeviceGetName:999"."""
    with change(etc) as ini:
        section = _section(ini, gpu)
        section.update({key: str(value) for key, value in values.items()})


def put_host(etc: Path, **values: str | int) -> None:
    """Set fields of the host: fault="mismatch" or "no_permission", cuda_fault="802"."""
    with change(etc) as ini:
        ini["host"].update({key: str(value) for key, value in values.items()})


def occupy(etc: Path, gpu: int, pid: int, name: str, memory_mib: int, instance: int | None = None) -> None:
    """A process computes on the GPU, or on one of its GPU instances."""
    with change(etc) as ini:
        _section(ini, gpu)
        free = next(n for n in range(MAX_PROCESSES) if not ini.has_section(f"gpu.{gpu}.proc.{n}"))
        where = {} if instance is None else {"gi": str(instance), "ci": "0"}
        ini[f"gpu.{gpu}.proc.{free}"] = {"pid": str(pid), "name": name, "mem_mib": str(memory_mib), **where}


def vacate(etc: Path, gpu: int) -> None:
    """No process is on the GPU any more."""
    with change(etc) as ini:
        for name in [name for name in ini.sections() if name.startswith(f"gpu.{gpu}.proc.")]:
            ini.remove_section(name)


def clear(etc: Path) -> None:
    """Every fault is gone: the hardware is as new. Processes, MIG and settings stay; events are history and stay."""
    if not (etc / STATE).exists():
        return
    for stored in _drawer(etc).iterdir():
        stored.rename(etc / FUNCTIONS / stored.name)
    bought = _parser()
    bought.read(etc / BOUGHT)
    with change(etc) as ini:
        for key in HOST_FAULTS:
            ini.remove_option("host", key)
        if (etc / LOADED).exists():
            loaded = (etc / LOADED).read_text()
            _rename_version(etc, ini["host"]["driver"], loaded)
            ini["host"]["driver"] = loaded
            (etc / LOADED).unlink()
        for name in _gpus(ini):
            _mend(ini[name], bought[name] if bought.has_section(name) else {})
    for name in _gpus(bought):
        model, index = MODELS[bought[name]["model"]], int(name.removeprefix("gpu."))
        pci.write_gpu(etc / FUNCTIONS / _place(etc, index), model, int(bought[name]["numa"]))


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


def _mend(gpu: configparser.SectionProxy, bought: Mapping[str, str]) -> None:
    for key in set(gpu) - NO_FAULT:
        del gpu[key]
    gpu.update(bought)


def _parser() -> configparser.ConfigParser:
    return configparser.ConfigParser(interpolation=None, default_section="-")


def _write_new(file: Path, ini: configparser.ConfigParser) -> None:
    temporary = file.with_suffix(".new")
    with temporary.open("w") as opened:
        ini.write(opened)
    temporary.chmod(0o644)  # pods of any user ask NVML
    temporary.rename(file)


def _gpus(ini: configparser.ConfigParser) -> list[str]:
    return [name for name in ini.sections() if name.startswith("gpu.") and name.count(".") == 1]


def _section(ini: configparser.ConfigParser, gpu: int) -> configparser.SectionProxy:
    name = f"gpu.{gpu}"
    if not ini.has_section(name):
        raise LabError(f"this host has no GPU {gpu}", f"it has {len(_gpus(ini))}, counted from 0")
    return ini[name]


def _model(etc: Path, gpu: int) -> str:
    with change(etc, write=False) as ini:
        return _section(ini, gpu)["model"]


def _place(etc: Path, gpu: int) -> str:
    """Return the GPU's address as sysfs spells it."""
    with change(etc, write=False) as ini:
        return _section(ini, gpu)["pci"].removeprefix("0000").lower()


def _drawer(etc: Path) -> Path:
    """Return where the PCI functions of unplugged GPUs are kept."""
    folder = etc / "nvidia/unplugged"
    folder.mkdir(exist_ok=True)
    return folder


def _show_link(etc: Path, gpu: int, generation: int, width: int) -> None:
    for name, text in pci.link("current", generation, width).items():
        (etc / FUNCTIONS / _place(etc, gpu) / name).write_text(text)


def _rename_version(etc: Path, old: str, new: str) -> None:
    """Write another version where the kernel tells that of the loaded module; in place, since it is a bind mount."""
    text = (etc / VERSION).read_text() if (etc / VERSION).exists() else ""
    if text:
        (etc / VERSION).write_text(text.replace(old, new))


def _gpu(host: str, model: str, index: int) -> dict[str, str]:
    return {
        "model": model,
        "product": MODELS[model].name,
        "uuid": f"GPU-{uuid.uuid5(uuid.NAMESPACE_DNS, f'{host}/{index}')}",
        "serial": f"165352{uuid.uuid5(uuid.NAMESPACE_DNS, host).int % 10**5:05d}{index:02d}",
        "pci": f"0000{_address(BUSES[index]).upper()}",
        "minor": str(index),
        "numa": str(_numa(index)),
    }


def _address(bus: int) -> str:
    return f"0000:{bus:02x}:00.0"


def _numa(index: int) -> int:
    return index // 4 % 2
