"""Hosts as tests about their driver begin with them."""

from __future__ import annotations

import dataclasses
from typing import Any

from ansible.module_utils.groundwork.gpu.driver_host import Host
from ansible.module_utils.groundwork.gpu.model import PciDevice

DEBIAN = Host("debian", "12", "x86_64", "6.1.0-41-amd64", ("linux-image-amd64",))
NOBLE = Host("ubuntu", "24.04", "x86_64", "6.8.0-88-generic", ("linux-image-generic",))


def running(version: str, host: Host = DEBIAN, **changes: Any) -> Host:
    """A host whose driver of a version runs, with the open modules."""
    values: dict[str, Any] = dict.fromkeys(("loaded_version", "installed_version", "library_version"), version)
    values |= {"loaded_is_open": True, "installed_is_open": True}
    return dataclasses.replace(host, **{**values, **changes})


def gpu(device_id: str, bus_id: str = "0000:1b:00.0") -> PciDevice:
    """A GPU by its PCI id, as https://pci-ids.ucw.cz/read/PC/10de names them."""
    return PciDevice(bus_id, "gpu", device_id, None, None, 0, 16, 16, None, None)


def switch(bus_id: str) -> PciDevice:
    """An NVSwitch of an HGX board with H100."""
    return PciDevice(bus_id, "nvswitch", "22a3", None, None, 0, 2, 2, None, None)
