"""Whether the driver on a host is what was installed, stays so, and has its daemons."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible.module_utils.groundwork.check import Check
from ansible.module_utils.groundwork.command import Output
from ansible.module_utils.groundwork.gpu import driver, driver_verify
from ansible.module_utils.groundwork.gpu.driver import Seen, Wanted
from ansible.module_utils.groundwork.gpu.driver_host import Package
from ansible.module_utils.groundwork.gpu.fabric import Fabric

from tests.unit.module_utils.fakes import Commands
from tests.unit.module_utils.gpu.driver_hosts import gpu, running

HGX = Fabric("nvswitch", "4 NVSwitches on the PCI bus")
ACTIVE = {"nvidia-persistenced.service": "active", "nvidia-fabricmanager.service": "active"}
NAMES = [
    *("nvidia-driver-pinning-580", "nvidia-kernel-open-dkms", "nvidia-driver-cuda", "nvidia-persistenced"),
    "nvidia-fabricmanager",
]


def seen(has: Fabric = HGX, held: bool = True, **changes: Any) -> Seen:
    packages = {name: Package("580.126.09-1", held) for name in NAMES}
    host = running("580.126.09", **{"packages": packages, **changes})
    wanted = Wanted("580")
    return Seen(wanted, host, (gpu("2330"),), has, driver.choose(host, wanted, [gpu("2330")], has))


def verdict(name: str, found: Seen, units: dict[str, str] | None = None) -> Check:
    [one] = [
        check for check in driver_verify.check(found, ACTIVE if units is None else units) if check.name.endswith(name)
    ]
    return one


def test_a_healthy_host_has_no_fault() -> None:
    assert {check.status for check in driver_verify.check(seen(), ACTIVE)} == {"ok"}


def test_a_driver_updated_without_a_reboot_is_found_by_name() -> None:
    found = verdict(".installed_is_loaded", seen(loaded_version="580.95.05"))
    assert found.status == "failed"
    assert found.observed == "loaded 580.95.05, installed 580.126.09, library 580.126.09"
    assert "reboots the host" in found.remedy


@pytest.mark.parametrize(
    ("changes", "observed"),
    [
        ({"loaded_version": None}, "loaded none, installed 580.126.09, library 580.126.09"),
        ({"library_version": "580.95.05"}, "loaded 580.126.09, installed 580.126.09, library 580.95.05"),
    ],
)
def test_versions_that_disagree_are_told(changes: dict[str, Any], observed: str) -> None:
    found = verdict(".installed_is_loaded", seen(**changes))
    assert (found.status, found.observed) == ("failed", observed)


@pytest.mark.parametrize(("is_open", "status"), [(True, "ok"), (False, "failed"), (None, "skipped")])
def test_the_loaded_modules_are_of_the_kind_that_was_chosen(is_open: bool | None, status: str) -> None:
    assert verdict(".kernel_modules", seen(loaded_is_open=is_open)).status == status


def test_packages_that_are_not_held_are_named() -> None:
    found = verdict(".packages_are_held", seen(held=False))
    assert found.status == "failed"
    assert found.observed == f"not held: {', '.join(NAMES)}"


def test_a_next_boot_without_the_module_is_a_warning() -> None:
    found = verdict(".next_boot_has_the_module", seen(kernels_without_module=("6.1.0-42-amd64",)))
    assert (found.status, "6.1.0-42-amd64" in found.observed) == ("warning", True)


@pytest.mark.parametrize("state", ["inactive", "failed"])
def test_a_persistence_daemon_that_does_not_run_is_found(state: str) -> None:
    found = verdict(".persistence_daemon", seen(), {**ACTIVE, "nvidia-persistenced.service": state})
    assert (found.status, found.observed) == ("failed", f"nvidia-persistenced.service is {state}")


@pytest.mark.parametrize(
    ("state", "version", "status"),
    [("active", "580.126.09-1", "ok"), ("failed", "580.126.09-1", "failed"), ("active", "580.95.05-1", "failed")],
)
def test_fabric_manager_runs_and_is_of_the_drivers_version(state: str, version: str, status: str) -> None:
    packages = {**{name: Package("580.126.09-1", True) for name in NAMES}, "nvidia-fabricmanager": Package(version)}
    units = {**ACTIVE, "nvidia-fabricmanager.service": state}
    assert verdict(".fabric_service", seen(packages=packages), units).status == status


def test_a_host_without_a_fabric_needs_none() -> None:
    assert verdict(".fabric_service", seen(has=Fabric()), {}).status == "skipped"


def test_a_fabric_manager_that_is_not_installed_is_named() -> None:
    host = dataclasses.replace(seen().host, packages={})
    found = driver_verify.fabric(dataclasses.replace(seen(), host=host), {})
    assert found.observed == "nvidia-fabricmanager.service is inactive; nvidia-fabricmanager is not installed"


def test_systemd_is_asked_for_all_units_at_once() -> None:
    commands = Commands({"systemctl is-active": Output(3, "active\ninactive\n")})
    assert driver_verify.states(commands, ["one.service", "two.service"]) == {
        "one.service": "active",
        "two.service": "inactive",
    }
