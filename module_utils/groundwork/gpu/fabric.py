"""What a host's NVLink fabric needs beside the driver, told by what is on its PCI bus.

HGX with A100, H100 or H200 has NVSwitches on the bus; Fabric Manager, of exactly the driver's version, sets them up,
and CUDA says error 802 until it has. From B200 on the switches are behind ConnectX-7 bridges, and Fabric Manager takes
NVLink Subnet Manager along, over InfiniBand's management datagrams. In a rack of GB200 or GB300 the switches have hosts
of their own; IMEX exports memory between the nodes. Where none of this is there, Fabric Manager fails
(NV_WARN_NOTHING_TO_DO), so it stays away. In a virtual machine that was given GPUs without switches, the fabric is the
host's business.

https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide, https://docs.nvidia.com/multi-node-nvlink-systems/imex-guide;
names of packages as NVIDIA/gpu-driver-container installs them, and Ubuntu's as on packages.ubuntu.com.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ansible.module_utils.groundwork.gpu.model import PciDevice

Kind = Literal["", "nvswitch", "nvlink5", "rack"]
MELLANOX = "0x15b3"
BRIDGE = b"SW_MNG"
"""What the vital product data of a bridge to NVSwitches says; NVIDIA's own start script looks for it."""
HGX_OF_NVLINK5 = {"2901", "2909", "3182"}  # B200, B300: pci.ids of 2026-08-22
IN_RACKS = {"2941", "31c2", "31c3"}  # GB200, GB300
FIRST_BRANCH_WITHOUT_SUFFIX = 580
"""From this branch on the vendor's packages of Fabric Manager and IMEX do not name it."""


@dataclass(frozen=True)
class Fabric:
    """The fabric that a host must serve.

    Attributes:
        kind: nvswitch up to H200, nvlink5 for B200 and B300, rack for GB200 and GB300, empty for none.
        seen: In words, what it was told by.
        missing_bridges: Whether there are GPUs of NVLink 5 boards and none of the bridges to their switches.
    """

    kind: Kind = ""
    seen: str = "no NVSwitch"
    missing_bridges: bool = False


def observe(devices: Sequence[PciDevice], sysfs: Path = Path("/sys")) -> Fabric:
    """The fabric of the host whose NVIDIA devices are given."""
    switches = [device for device in devices if device.kind == "nvswitch"]
    gpus = {device.device_id for device in devices if device.kind == "gpu"}
    if switches:
        return Fabric("nvswitch", f"{len(switches)} NVSwitches on the PCI bus")
    if gpus & IN_RACKS:
        return Fabric("rack", "GPUs of a rack with NVLink between its nodes")
    if found := bridges(sysfs):
        return Fabric("nvlink5", f"{len(found)} bridges to NVSwitches on the PCI bus")
    return Fabric(missing_bridges=bool(gpus & HGX_OF_NVLINK5))


def bridges(sysfs: Path) -> list[str]:
    """The bus ids of bridges to NVSwitches. Read on the bus: InfiniBand shows them only once its modules are loaded."""
    directories = sorted((sysfs / "bus/pci/devices").glob("*"))
    return [path.name for path in directories if _starts_with(path / "vendor", MELLANOX) and _is_bridge(path / "vpd")]


def packages(fabric: Fabric, source: str, branch: int, imex: bool) -> list[str]:
    """Those that must be of exactly the driver's version; see `companions` for the others.

    Args:
        fabric: What the host has.
        source: vendor or distribution.
        branch: The driver's branch.
        imex: Whether the nodes that share memory are declared.
    """
    suffix = f"-{branch}" if source == "distribution" or branch < FIRST_BRANCH_WITHOUT_SUFFIX else ""
    if fabric.kind in ("nvswitch", "nvlink5"):
        return [f"nvidia-fabricmanager{suffix}"]
    return [f"nvidia-imex{suffix}"] if fabric.kind == "rack" and imex else []


def companions(fabric: Fabric, distribution: str, kernel: str) -> list[str]:
    """Packages beside it that follow no driver version. Ubuntu keeps InfiniBand's modules apart from the kernel."""
    if fabric.kind != "nvlink5":
        return []
    modules = [f"linux-modules-extra-{kernel}"] if distribution == "ubuntu" else []
    return [*modules, "nvlsm", "infiniband-diags"]


def services(fabric: Fabric, imex: bool) -> list[str]:
    """The units that serve it. NVLink Subnet Manager has none: Fabric Manager's start script begins with it."""
    if fabric.kind in ("nvswitch", "nvlink5"):
        return ["nvidia-fabricmanager.service"]
    return ["nvidia-imex.service"] if fabric.kind == "rack" and imex else []


def modules(fabric: Fabric) -> list[str]:
    """Kernel modules that are loaded at boot before those services."""
    return ["mlx5_ib", "ib_umad"] if fabric.kind == "nvlink5" else []


def _starts_with(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="ascii", errors="replace").startswith(text)
    except OSError:
        return False


def _is_bridge(path: Path) -> bool:
    try:
        return BRIDGE in path.read_bytes()
    except OSError:  # a function without vital product data has no such file; a dead one cannot be read
        return False
