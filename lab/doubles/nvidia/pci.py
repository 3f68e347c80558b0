"""GPUs and NVSwitches as PCI functions: what sysfs shows of them to lspci, node feature discovery and our modules."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

NVIDIA = 0x10DE


@dataclass(frozen=True)
class Model:
    """What PCI says of a GPU model: https://pci-ids.ucw.cz, vendor 10de. The rest is in library/models.c.

    Attributes:
        name: its product name.
        device, subsystem: its ids.
        generation: of PCIe, at most.
        switch: vendor, device and class of what connects several of them on a board, if anything does.
        retires: whether it retires pages of bad memory; newer ones remap rows.
    """

    name: str
    device: int
    subsystem: int
    generation: int
    switch: tuple[int, int, int] | None = None
    retires: bool = False


NVSWITCH_2 = (0x10DE, 0x1AF1, 0x068000)
NVSWITCH_3 = (0x10DE, 0x22A3, 0x068000)
CONNECTX_7 = (0x15B3, 0x1021, 0x020700)  # with NVLink 5 the switches are managed through InfiniBand functions
MODELS = {
    "A100-40GB": Model("NVIDIA A100-SXM4-40GB", 0x20B0, 0x134F, 4, NVSWITCH_2),
    "A100-80GB": Model("NVIDIA A100-SXM4-80GB", 0x20B2, 0x147F, 4, NVSWITCH_2),
    "H100-80GB": Model("NVIDIA H100 80GB HBM3", 0x2330, 0x16C1, 5, NVSWITCH_3),
    "H200-141GB": Model("NVIDIA H200", 0x2335, 0x18BE, 5, NVSWITCH_3),
    "B200": Model("NVIDIA B200", 0x2901, 0x1999, 5, CONNECTX_7),
    "L40S": Model("NVIDIA L40S", 0x26B9, 0x1851, 4),
    "T4": Model("Tesla T4", 0x1EB8, 0x12A2, 3, retires=True),
}
SPEEDS = {1: "2.5", 2: "5.0", 3: "8.0", 4: "16.0", 5: "32.0"}  # GT/s a lane, by PCIe's generation


def write_gpu(folder: Path, model: Model, numa: int) -> None:
    """A PCI function as sysfs shows it to lspci, node feature discovery and our modules; nothing is bound to it yet."""
    bar = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
    texts = {
        **_function(NVIDIA, model.device, 0x030200, numa),  # a 3D controller
        "revision": "0xa1\n",
        "subsystem_vendor": "0x10de\n",
        "subsystem_device": f"{model.subsystem:#06x}\n",
        "irq": "0\n",
        "local_cpulist": f"0-{(os.cpu_count() or 1) - 1}\n",
        **link("current", model.generation, 16),
        **link("max", model.generation, 16),
        "resource": "0x00000000b0000000 0x00000000b0ffffff 0x0000000000040200\n" + bar * 12,
        "modalias": f"pci:v000010DEd{model.device:08X}sv000010DEsd{model.subsystem:08X}bc03sc02i00\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "config").write_bytes(_configuration_space(model))


def write_switch(folder: Path, switch: tuple[int, int, int]) -> None:
    """A switch between GPUs: vendor, device and class."""
    vendor, device, kind = switch
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in _function(vendor, device, kind, 0).items():
        (folder / name).write_text(text)
    if switch == CONNECTX_7:  # how NVIDIA's own scripts tell such a system
        (folder / "vpd").write_bytes(b"\x82\x26\x00HGX B200 8 GPU SW_MNG\x78")


def _function(vendor: int, device: int, kind: int, numa: int) -> dict[str, str]:
    numbers = {"vendor": f"{vendor:#06x}", "device": f"{device:#06x}", "class": f"{kind:#08x}", "numa_node": str(numa)}
    return {name: f"{value}\n" for name, value in numbers.items()}


def link(which: str, generation: int, width: int) -> dict[str, str]:
    """The files that tell the speed and the lanes of a link; `which`: current or max."""
    return {f"{which}_link_speed": f"{SPEEDS[generation]} GT/s PCIe\n", f"{which}_link_width": f"{width}\n"}


def _configuration_space(model: Model) -> bytes:
    """The standard header; no capability list, so that nothing takes the GPU for a virtual one."""
    space = bytearray(4096)
    space[0x00:0x04] = (0x10DE).to_bytes(2, "little") + model.device.to_bytes(2, "little")
    space[0x08:0x0C] = bytes((0xA1, 0x00, 0x02, 0x03))  # revision, then the class from its last byte on
    space[0x2C:0x30] = (0x10DE).to_bytes(2, "little") + model.subsystem.to_bytes(2, "little")
    return bytes(space)
