"""Which kernel modules drive a GPU: open, proprietary or both. Told by its PCI id, before a driver is there.

The open modules need a GPU System Processor, which came with Turing. Grace Hopper, Blackwell and all that follows are
driven by the open modules alone: NVIDIA's Driver Installation Guide, "Kernel Modules", and "NVIDIA Transitions Fully
Towards Open-Source GPU Kernel Modules" on its technical blog. R580 is the last branch for Maxwell, Pascal and Volta,
R470 was the last for Kepler: NVIDIA's "Unix graphics feature deprecation schedule". Ids grow with the generations;
first and last of each were read in pci.ids of 2026-08-22 and in the table of NVIDIA/open-gpu-kernel-modules.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ansible.module_utils.groundwork.gpu.model import PciDevice

Modules = Literal["open", "proprietary"]
EITHER: tuple[Modules, ...] = ("open", "proprietary")


@dataclass(frozen=True)
class Architecture:
    """GPUs from one PCI id on.

    Attributes:
        first: The lowest device id, four hexadecimal digits.
        name: As people call it.
        modules: What drives it; empty where no branch of today does.
        last_branch: The last branch that drives it, None where none is known.
    """

    first: str
    name: str
    modules: tuple[Modules, ...]
    last_branch: int | None = None


ARCHITECTURES = (
    Architecture("0000", "Kepler or older", (), 470),
    Architecture("1340", "Maxwell, Pascal or Volta", ("proprietary",), 580),  # GM108 to GV100, 1df6
    Architecture("1e00", "Turing to Hopper", EITHER),  # TU102 begins at 1e02, AD107 ends at 28f8
    Architecture("2900", "Blackwell or newer", ("open",)),  # GB100
)
GRACE_HOPPER = Architecture("2342", "Grace Hopper", ("open",))
GRACE_HOPPER_IDS = {"2342", "2348"}


def of(device_id: str) -> Architecture:
    """The architecture of a GPU by the four hexadecimal digits of its device id."""
    if device_id.lower() in GRACE_HOPPER_IDS:
        return GRACE_HOPPER
    return next(one for one in reversed(ARCHITECTURES) if one.first <= device_id.lower())


def choose(wanted: str, gpus: Iterable[PciDevice]) -> Modules:
    """The kernel modules for a host: those that are asked for, else the open ones where they drive all of its GPUs."""
    if wanted != "auto":
        return "open" if wanted == "open" else "proprietary"
    return "open" if all("open" in of(gpu.device_id).modules for gpu in gpus) else "proprietary"


def not_driven(gpus: Iterable[PciDevice], modules: Modules, branch: int) -> list[str]:
    """The GPUs that these modules of this branch do not drive, each with the reason."""
    found = []
    for gpu in gpus:
        architecture = of(gpu.device_id)
        if architecture.last_branch is not None and branch > architecture.last_branch:
            found.append(f"{_name(gpu)}: R{architecture.last_branch} is the last branch for {architecture.name}")
        elif modules not in architecture.modules:
            only = f"the {architecture.modules[0]} modules alone" if architecture.modules else "no modules of today"
            found.append(f"{_name(gpu)}: {architecture.name} is driven by {only}")
    return found


def cannot_share_a_host(gpus: Iterable[PciDevice]) -> bool:
    """Whether there are GPUs that only the open modules drive beside some that only the proprietary ones do."""
    alone = {modules[0] for gpu in gpus if len(modules := of(gpu.device_id).modules) == 1}
    return len(alone) > 1


def _name(gpu: PciDevice) -> str:
    return f"{gpu.bus_id} 10de:{gpu.device_id}"
