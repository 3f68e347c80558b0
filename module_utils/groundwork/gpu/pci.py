"""NVIDIA's devices in sysfs: what is plugged in, with or without a driver.

Files: https://docs.kernel.org/PCI/sysfs-pci.html and Documentation/ABI/testing/sysfs-bus-pci; classes: PCI Code and ID
Assignment Specification.
"""

from __future__ import annotations

import functools
from pathlib import Path

from ansible.module_utils.groundwork.gpu.model import DeviceKind, PciDevice

NVIDIA = "0x10de"
KINDS: dict[str, DeviceKind] = {"0x0300": "gpu", "0x0302": "gpu", "0x0680": "nvswitch"}
"""By class: VGA and 3D controllers are GPUs, a bridge of NVIDIA's is an NVSwitch; the rest is sound and USB."""


def observe(sysfs: Path = Path("/sys")) -> tuple[PciDevice, ...]:
    """NVIDIA's GPUs and NVSwitches, in the order of their bus ids."""
    directories = sorted((sysfs / "bus/pci/devices").glob("*"))
    return tuple(found for found in map(_device, directories) if found)


@functools.cache
def sysfs_bus_id(bus_id: str | bytes) -> str:
    """0000:1b:00.0 for any spelling of it; NVML writes 00000000:1B:00.0, its older bindings as bytes."""
    text = bus_id.decode() if isinstance(bus_id, bytes) else bus_id
    domain, rest = text.lower().split(":", 1)
    return f"{int(domain, 16):04x}:{rest}"


def _device(directory: Path) -> PciDevice | None:
    kind = KINDS.get((_text(directory / "class") or "")[:6])
    if _text(directory / "vendor") != NVIDIA or kind is None:
        return None
    return PciDevice(
        bus_id=directory.name,
        kind=kind,
        device_id=_hexadecimal(directory / "device") or "",
        subsystem_id=_hexadecimal(directory / "subsystem_device"),
        driver=_link_name(directory / "driver"),
        numa_node=_natural(directory / "numa_node"),
        link_width=_natural(directory / "current_link_width"),
        link_width_max=_natural(directory / "max_link_width"),
        link_speed=_text(directory / "current_link_speed"),
        link_speed_max=_text(directory / "max_link_speed"),
        cpu_affinity=_text(directory / "local_cpulist") or None,
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:  # attributes come and go with kernel, firmware and a device that fell off the bus
        return None


def _link_name(path: Path) -> str | None:
    try:
        return path.readlink().name
    except OSError:
        return None


def _hexadecimal(path: Path) -> str | None:
    text = _text(path)
    return text.removeprefix("0x") if text else None


def _natural(path: Path) -> int | None:
    """-1 is the kernel's way to say that it does not know."""
    text = _text(path)
    return int(text) if text and text.isdigit() else None
