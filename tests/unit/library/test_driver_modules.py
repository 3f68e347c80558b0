"""The modules about a host's driver and its CDI specification, as Ansible runs them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.groundwork.command import Output
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import cdi, driver, published
from ansible.module_utils.groundwork.gpu.driver import Seen, Wanted
from ansible.module_utils.groundwork.gpu.driver_host import Host, Package
from ansible.module_utils.groundwork.gpu.fabric import Fabric
from ansible.module_utils.groundwork.gpu.published import Published

from tests.unit.library.conftest import Module
from tests.unit.library.test_modules import documented
from tests.unit.module_utils.fakes import Commands
from tests.unit.module_utils.gpu.driver_hosts import DEBIAN, gpu, running

Load = Callable[[str], Module]
HGX = Fabric("nvswitch", "4 NVSwitches on the PCI bus")
ELSEWHERE = dataclasses.replace(DEBIAN, distribution="opensuse", release="15.6")
VENDOR = "https://mirror.lab/nvidia"
WHOLE = running(
    "580.126.09",
    packages={
        name: Package("580.126.09-1", held=True)
        for name in (
            "nvidia-driver-pinning-580",
            "nvidia-kernel-open-dkms",
            "nvidia-driver-cuda",
            "nvidia-persistenced",
            "nvidia-fabricmanager",
            "linux-headers-6.1.0-41-amd64",
            "linux-headers-amd64",
        )
    },
)


@pytest.fixture
def on(load: Load, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Module]:
    """A module on a host with an HGX board, whose programs answer out of a table."""

    def prepare(name: str, host: Host, commands: dict[str, Output] | None = None) -> Module:
        def see(_run: object, wanted: Wanted) -> Seen:
            gpus = (gpu("2330"),)
            return Seen(wanted, host, gpus, HGX, driver.choose(host, wanted, gpus, HGX))

        module = load(name)
        monkeypatch.setattr(driver, "see", see)
        monkeypatch.setattr(module.code, "run", Commands(dict(commands or {})))
        return module

    return prepare


def by_name(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {check["name"].partition(".")[2]: check for check in told["checks"]}


@pytest.mark.parametrize("host", [DEBIAN, WHOLE, ELSEWHERE])
def test_what_is_seen_of_a_driver_has_the_keys_that_are_documented(on: Callable[..., Module], host: Host) -> None:
    """Roles look into it: a key that is there on some hosts alone would end a run on the others."""
    told = on("nvidia_driver_info", host).run(branch="580")
    assert set(told["driver"]) == set(documented("nvidia_driver_info", "RETURN")["driver"]["sample"])
    assert (told["changed"], told["driver"]["supported"]) == (False, host is not ELSEWHERE)


def test_on_a_system_that_is_not_known_nothing_is_chosen(on: Callable[..., Module]) -> None:
    found = on("nvidia_driver_info", ELSEWHERE).run(branch="580")["driver"]
    assert [found[name] for name in ("source", "driver", "exact", "lacking", "to_hold")] == ["", [], [], [], []]


@pytest.mark.parametrize("name", ["nvidia_driver_info", "nvidia_driver_verify", "nvidia_driver_preflight"])
def test_what_is_no_branch_fails_with_an_example(on: Callable[..., Module], name: str) -> None:
    beside: dict[str, Any] = {"vendor_url": VENDOR} if name.endswith("preflight") else {}
    told = on(name, DEBIAN).run(branch="580-open", **beside)
    assert (told["failed"], told["changed"]) == (True, False)
    assert "gpu_driver_branch is '580-open'" in told["msg"]
    assert '"580"' in told["remedy"]


def test_a_repository_that_does_not_answer_is_a_verdict_and_the_others_are_told(
    on: Callable[..., Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(url: str) -> Published:
        asked.append(url)
        raise GroundworkError(f"{url} does not tell its packages: timed out", "Let the host reach it.")

    monkeypatch.setattr(published, "of_repository", refuse)
    told = on("nvidia_driver_preflight", DEBIAN).run(branch="580", vendor_url=f"{VENDOR}/")
    assert asked == [f"{VENDOR}/debian12/x86_64/"]
    found = by_name(told)
    assert (found["branch_is_published"]["status"], found["branch_is_published"]["remedy"]) == (
        "failed",
        "Let the host reach it.",
    )
    assert {name: check["status"] for name, check in found.items() if name != "branch_is_published"} == {
        "kernel_modules_drive_every_gpu": "ok",
        "secure_boot": "ok",
        "no_other_branch": "ok",
        "fabric": "ok",
    }


def test_where_all_is_installed_no_repository_is_asked(
    on: Callable[..., Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site whose mirror is down can still be proved."""

    def fail(_url: str) -> Published:
        raise AssertionError("asked")

    monkeypatch.setattr(published, "of_repository", fail)
    told = on("nvidia_driver_preflight", WHOLE).run(branch="580", vendor_url=VENDOR)
    assert {check["status"] for check in told["checks"]} == {"ok"}


def test_on_a_system_that_is_not_known_preflight_asks_nothing(on: Callable[..., Module]) -> None:
    told = on("nvidia_driver_preflight", ELSEWHERE).run(branch="580", vendor_url=VENDOR)
    assert "branch_is_published" not in by_name(told)


@pytest.mark.parametrize(
    ("said", "faults"),
    [
        ("active\nactive\n", {}),
        ("active\nfailed\n", {"fabric_service": "nvidia-fabricmanager.service is failed"}),
        ("inactive\nactive\n", {"persistence_daemon": "nvidia-persistenced.service is inactive"}),
        ("", {
            "persistence_daemon": "nvidia-persistenced.service is inactive",
            "fabric_service": "nvidia-fabricmanager.service is inactive",
        }),
    ],
)  # fmt: skip
def test_the_units_that_the_host_needs_are_asked_for_at_once(
    on: Callable[..., Module], said: str, faults: dict[str, str]
) -> None:
    """`systemctl is-active A B` answers in their order, with exit status 3 where one is not."""
    asked = "systemctl is-active nvidia-persistenced.service nvidia-fabricmanager.service"
    module = on("nvidia_driver_verify", WHOLE, {asked: Output(3 if faults else 0, said)})
    found = {name: check["observed"] for name, check in by_name(module.run(branch="580")).items()
             if check["status"] == "failed"}  # fmt: skip
    assert found == faults
    assert module.code.run.asked == [asked]


def test_a_driver_that_was_upgraded_behind_ones_back_fails_the_host(on: Callable[..., Module]) -> None:
    host = dataclasses.replace(WHOLE, installed_version="580.159.03", library_version="580.159.03")
    found = by_name(on("nvidia_driver_verify", host).run(branch="580"))["installed_is_loaded"]
    assert (found["status"], found["observed"]) == (
        "failed",
        "loaded 580.126.09, installed 580.159.03, library 580.159.03",
    )


@pytest.mark.parametrize(
    ("devices", "there", "status", "observed"),
    [
        ([], None, "skipped", "NVML offers no device"),
        (["GPU-a"], None, "failed", "nvidia.yaml is not there"),
        (["GPU-a"], ("GPU-a",), "ok", "1 devices"),
        (["MIG-b"], ("GPU-a", "MIG-c"), "failed", "not in it: MIG-b; in it, and gone: MIG-c"),
    ],
)
def test_the_cdi_specification_is_held_against_what_nvml_offers(
    load: Load,
    monkeypatch: pytest.MonkeyPatch,
    devices: list[str],
    there: tuple[str, ...] | None,
    status: str,
    observed: str,
) -> None:
    found = None if there is None else cdi.Specification(frozenset(there), ())
    monkeypatch.setattr(cdi, "observe", lambda: found)
    told = load("container_cdi_verify").run(devices=devices)
    [check] = told["checks"]
    assert (check["status"], told["changed"]) == (status, False)
    assert observed in check["observed"]
    assert ("nvidia-cdi-refresh" in check["remedy"]) is (status == "failed")
