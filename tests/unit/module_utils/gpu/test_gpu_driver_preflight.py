"""What would stop a host's driver, and what to do about it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible.module_utils.groundwork.check import Check
from ansible.module_utils.groundwork.command import Output
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import driver, driver_preflight, published
from ansible.module_utils.groundwork.gpu.driver import Seen, Wanted
from ansible.module_utils.groundwork.gpu.driver_host import Host, Package
from ansible.module_utils.groundwork.gpu.fabric import Fabric
from ansible.module_utils.groundwork.gpu.published import Published, parse

from tests.unit.module_utils.fakes import Commands
from tests.unit.module_utils.gpu.driver_hosts import DEBIAN, NOBLE, gpu, running
from tests.unit.module_utils.gpu.test_gpu_published import PACKAGES

SECURE = {"secure_boot": True}


def seen(host: Host, wanted: Wanted, *ids: str, has: Fabric = driver.NO_FABRIC) -> Seen:
    gpus = tuple(gpu(one, f"0000:{number:02x}:00.0") for number, one in enumerate(ids, 0x1B))
    return Seen(wanted, host, gpus, has, driver.choose(host, wanted, gpus, has))


def everything(names: list[str]) -> Published:
    return Published(dict.fromkeys(names, ("580.126.09-1",)))


@pytest.mark.parametrize(
    ("wanted", "ids", "status", "words"),
    [
        (Wanted("580"), ["2330"], "ok", ""),
        (Wanted("580"), [], "skipped", ""),
        (Wanted("580"), ["1db6", "1eb8"], "ok", ""),
        (Wanted("580", kernel_modules="proprietary"), ["2901"], "failed", "gpu_driver_kernel_modules to auto"),
        (Wanted("580", kernel_modules="open"), ["1b38"], "failed", "gpu_driver_kernel_modules to auto"),
        (Wanted("595"), ["1db6"], "failed", 'gpu_driver_branch to "580"'),
        (Wanted("580"), ["1db6", "2901"], "failed", "into another host"),
        (Wanted("580", kernel_modules="open"), ["1db6", "2901"], "failed", "into another host"),
        (Wanted("580"), ["102d", "2330"], "failed", "out of the group gpu_nodes"),
    ],
)
def test_gpus_that_are_not_driven_are_refused(wanted: Wanted, ids: list[str], status: str, words: str) -> None:
    verdict = driver_preflight.kernel_modules(seen(DEBIAN, wanted, *ids))
    assert (verdict.name, verdict.status) == ("gpu_driver.kernel_modules_drive_every_gpu", status)
    assert words in verdict.remedy
    assert bool(verdict.remedy) is (status == "failed")


def test_a_mixed_host_names_the_gpu_that_is_in_the_way() -> None:
    verdict = driver_preflight.kernel_modules(seen(DEBIAN, Wanted("580"), "1db6", "2901"))
    assert verdict.observed == "0000:1c:00.0 10de:2901: Blackwell or newer is driven by the open modules alone"


@pytest.mark.parametrize(
    ("host", "source", "changes", "status"),
    [
        (DEBIAN, "auto", {}, "ok"),
        (DEBIAN, "auto", SECURE, "failed"),
        (DEBIAN, "vendor", {**SECURE, "own_key_enrolled": True}, "ok"),
        (running("580.126.09"), "auto", SECURE, "ok"),
        (NOBLE, "auto", SECURE, "ok"),
        (NOBLE, "vendor", SECURE, "failed"),
    ],
)
def test_secure_boot_and_the_source(host: Host, source: str, changes: dict[str, Any], status: str) -> None:
    verdict = driver_preflight.secure_boot(seen(dataclasses.replace(host, **changes), Wanted("580", source), "2330"))
    assert (verdict.name, verdict.status) == ("gpu_driver.secure_boot", status)
    if status == "failed":
        assert "mokutil --import" in verdict.remedy
        assert ("gpu_driver_source to distribution" in verdict.remedy) is (host.distribution == "ubuntu")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "ok"),
        ({"installed_version": "580.95.05"}, "ok"),
        ({"installed_version": "595.71.05"}, "failed"),
        ({"loaded_version": "535.309.01"}, "failed"),
    ],
)
def test_a_driver_of_another_branch_is_left_to_people(changes: dict[str, Any], status: str) -> None:
    verdict = driver_preflight.installed_branch(seen(dataclasses.replace(DEBIAN, **changes), Wanted("580")))
    assert verdict.status == status
    if status == "failed":
        assert f'gpu_driver_branch to "{verdict.observed.split()[1][:3]}"' in verdict.remedy


def repository(found: Seen, there: Published) -> Check:
    [verdict] = driver_preflight.repository(found, lambda: there)
    assert verdict.name == "gpu_driver.branch_is_published"
    return verdict


def test_a_branch_that_the_repository_does_not_have_is_refused_with_those_that_it_has() -> None:
    verdict = repository(seen(DEBIAN, Wanted("570")), parse(PACKAGES))
    assert verdict.status == "failed"
    assert "nvidia-driver-pinning-570" in verdict.observed
    assert "branches that are there: 580, 595" in verdict.observed
    assert "Set gpu_driver_branch to one that is there" in verdict.remedy


def test_a_branch_that_is_there_passes() -> None:
    found = seen(DEBIAN, Wanted("580"))
    assert repository(found, everything(driver_preflight.wanted_of_repository(found))).status == "ok"


def test_a_fabric_manager_that_is_not_there_is_refused() -> None:
    found = seen(DEBIAN, Wanted("580"), has=Fabric("nvswitch"))
    names = [name for name in driver_preflight.wanted_of_repository(found) if "fabric" not in name]
    verdict = repository(found, everything(names))
    assert "not there: nvidia-fabricmanager;" in verdict.observed


def test_ubuntus_archive_has_no_nvlink_subnet_manager() -> None:
    found = seen(NOBLE, Wanted("580", "distribution"), has=Fabric("nvlink5"))
    names = [name for name in driver_preflight.wanted_of_repository(found) if name != "nvlsm"]
    assert "gpu_driver_source to auto or vendor" in repository(found, everything(names)).remedy


def test_nobody_is_asked_where_nothing_is_lacking() -> None:
    found = seen(DEBIAN, Wanted("580"))
    names = [*found.chosen.pinning, *found.chosen.headers, *found.chosen.driver]
    host = running("580.126.09", packages={name: Package("580.126.09-1") for name in names})

    def ask() -> Published:
        raise AssertionError

    [verdict] = driver_preflight.repository(seen(host, Wanted("580")), ask)
    assert verdict.status == "ok"


def test_a_repository_that_does_not_answer_is_a_verdict() -> None:
    def ask() -> Published:
        raise GroundworkError("https://mirror does not tell its packages", "Let the host reach it.")

    [verdict] = driver_preflight.repository(seen(DEBIAN, Wanted("580")), ask)
    assert (verdict.status, verdict.remedy) == ("failed", "Let the host reach it.")


def test_the_source_says_who_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask(url: str) -> Published:
        asked.append(url)
        return Published()

    monkeypatch.setattr(published, "of_repository", ask)
    driver_preflight.ask_repository(seen(DEBIAN, Wanted("580")), Commands({}), "https://mirror/cuda/")
    assert asked == ["https://mirror/cuda/debian12/x86_64/"]
    commands = Commands({"apt-cache": Output(0), "apt-get": Output(0)})
    driver_preflight.ask_repository(seen(NOBLE, Wanted("580")), commands, "https://mirror/cuda")
    assert any("madison" in line for line in commands.asked)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("has", "status", "words"),
    [
        (Fabric(), "ok", "no NVSwitch: nothing beside the driver"),
        (Fabric("nvswitch", "4 NVSwitches on the PCI bus"), "ok", "4 NVSwitches on the PCI bus: nvidia-fabricmanager"),
        (Fabric(missing_bridges=True), "warning", "none of the bridges"),
    ],
)
def test_the_fabric_is_told(has: Fabric, status: str, words: str) -> None:
    verdict = driver_preflight.fabric(seen(DEBIAN, Wanted("580"), has=has))
    assert verdict.status == status
    assert words in verdict.observed


def test_a_system_that_is_not_known_has_no_repository_to_ask() -> None:
    host = dataclasses.replace(DEBIAN, release="10")
    names = [one.name for one in driver_preflight.check(seen(host, Wanted("580"), "2330"), Published)]
    assert "gpu_driver.branch_is_published" not in names
