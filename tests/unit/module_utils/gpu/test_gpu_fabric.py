"""What a host's NVLink fabric needs, told by its PCI bus."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.groundwork.gpu import fabric
from ansible.module_utils.groundwork.gpu.fabric import Fabric

from tests.unit.module_utils.gpu.driver_hosts import gpu, switch

# Vital product data in the form that PCI gives it. The field SMDL=SW_MNG is what tells a bridge to NVSwitches from a
# network card of the same PCI id, 15b3:1021; NVIDIA/gpu-driver-container looks for it, too.
VPD = b"\x82\x0a\x00ConnectX-7\x90\x10\x00RV\x0dSMDL=SW_MNG\x00\x78"


def plug(sysfs: Path, bus_id: str, vendor: str, vpd: bytes | None) -> None:
    directory = sysfs / "bus/pci/devices" / bus_id
    directory.mkdir(parents=True)
    (directory / "vendor").write_text(f"{vendor}\n")
    if vpd is not None:
        (directory / "vpd").write_bytes(vpd)


def test_nvswitches_on_the_bus_are_a_fabric(tmp_path: Path) -> None:
    found = fabric.observe([gpu("2330"), switch("0000:05:00.0"), switch("0000:06:00.0")], tmp_path)
    assert found == Fabric("nvswitch", "2 NVSwitches on the PCI bus")


@pytest.mark.parametrize("device_id", ["2330", "20b2", "26b9", "2901"])
def test_gpus_without_switches_are_none(tmp_path: Path, device_id: str) -> None:
    found = fabric.observe([gpu(device_id)], tmp_path)
    assert (found.kind, found.missing_bridges) == ("", device_id == "2901")


def test_bridges_to_nvswitches_are_told_from_network_cards(tmp_path: Path) -> None:
    plug(tmp_path, "0000:aa:00.0", "0x15b3", VPD)
    plug(tmp_path, "0000:ab:00.0", "0x15b3", VPD.replace(b"SW_MNG", b"MCX755"))
    plug(tmp_path, "0000:ac:00.0", "0x15b3", None)
    plug(tmp_path, "0000:ad:00.0", "0x8086", VPD)
    assert fabric.observe([gpu("2901")], tmp_path) == Fabric("nvlink5", "1 bridges to NVSwitches on the PCI bus")


@pytest.mark.parametrize("device_id", ["2941", "31c2"])
def test_a_node_of_a_rack_has_its_switches_elsewhere(tmp_path: Path, device_id: str) -> None:
    assert fabric.observe([gpu(device_id)], tmp_path).kind == "rack"


def test_a_host_without_gpus_has_none(tmp_path: Path) -> None:
    assert fabric.observe([], tmp_path) == Fabric()
