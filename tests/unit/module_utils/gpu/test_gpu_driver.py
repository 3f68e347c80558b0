"""Which packages a host's driver comes from, when it is right already, and when it must reboot."""

from __future__ import annotations

import dataclasses

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import driver
from ansible.module_utils.groundwork.gpu.driver import Packages, Wanted
from ansible.module_utils.groundwork.gpu.driver_host import Host, Package
from ansible.module_utils.groundwork.gpu.fabric import Fabric

from tests.unit.module_utils.gpu.driver_hosts import DEBIAN, NOBLE, gpu, running

HGX, NVLINK5, RACK = Fabric("nvswitch"), Fabric("nvlink5"), Fabric("rack")


def chosen(host: Host, wanted: Wanted, *ids: str, has: Fabric = driver.NO_FABRIC) -> Packages:
    found = driver.choose(host, wanted, [gpu(one) for one in ids], has)
    assert found is not None
    return found


def test_debian_builds_the_vendors_modules() -> None:
    found = chosen(DEBIAN, Wanted("580"))
    assert (found.source, found.modules) == ("vendor", "open")
    assert found.repository == "debian12/x86_64"
    assert found.key == "3bf863cc.pub"
    assert found.pinning == ["nvidia-driver-pinning-580"]
    assert found.headers == ["linux-headers-6.1.0-41-amd64", "linux-headers-amd64"]
    assert found.kernel_upgrade == []
    assert found.driver == ["nvidia-kernel-open-dkms", "nvidia-driver-cuda", "nvidia-persistenced"]


@pytest.mark.parametrize("branch", ["latest", "58", "580.126.09", "580-open", "", "0580"])
def test_what_is_no_branch_is_refused_with_an_example(branch: str) -> None:
    with pytest.raises(GroundworkError, match="is no branch") as raised:
        Wanted(branch)
    assert '"580"' in raised.value.remedy


def test_headers_of_later_kernels_are_wanted_where_those_of_this_one_are_there() -> None:
    assert chosen(dataclasses.replace(DEBIAN, headers_present=True), Wanted("580")).headers == ["linux-headers-amd64"]


@pytest.mark.parametrize(
    ("kernel", "installed", "headers"),
    [
        ("6.12.43+deb13-amd64", ("linux-image-amd64",), ["linux-headers-amd64"]),
        ("6.1.0-41-cloud-amd64", ("linux-image-amd64", "linux-image-cloud-amd64"), ["linux-headers-cloud-amd64"]),
        ("6.1.0-41-amd64", ("linux-image-cloud-amd64",), []),
        ("6.1.0-41-amd64", (), []),
    ],
)
def test_headers_follow_the_flavour_of_the_kernel(kernel: str, installed: tuple[str, ...], headers: list[str]) -> None:
    host = dataclasses.replace(DEBIAN, kernel=kernel, kernel_packages=installed, headers_present=True)
    assert chosen(host, Wanted("580")).headers == headers


def test_debian_13_has_a_key_of_its_own() -> None:
    found = chosen(dataclasses.replace(DEBIAN, release="13"), Wanted("590"))
    assert (found.repository, found.key) == ("debian13/x86_64", "8793F200.pub")


def test_an_arm_server_has_a_repository_of_its_own() -> None:
    found = chosen(dataclasses.replace(DEBIAN, architecture="aarch64"), Wanted("580"))
    assert found.repository == "debian12/sbsa"


def test_a_kernel_whose_signed_modules_are_gone_is_brought_up_to_date() -> None:
    has = frozenset({"linux-modules-nvidia-580-server-open-generic"})
    found = driver.choose(NOBLE, Wanted("580"), offers=lambda names: has.intersection(names))
    assert found is not None
    assert found.kernel_upgrade == ["linux-image-generic"]
    assert found.driver[0] == "linux-modules-nvidia-580-server-open-generic"
    assert "linux-modules-nvidia-580-server-open-6.8.0-88-generic" not in found.driver


def test_a_kernel_whose_headers_are_gone_is_brought_up_to_date() -> None:
    has = frozenset({"linux-headers-amd64"})
    found = driver.choose(DEBIAN, Wanted("580"), offers=lambda names: has.intersection(names))
    assert found is not None
    assert (found.kernel_upgrade, found.headers) == (["linux-image-amd64"], ["linux-headers-amd64"])


def test_before_apts_first_update_nothing_is_known_of_kernels() -> None:
    found = driver.choose(NOBLE, Wanted("580"), offers=lambda _: frozenset())
    assert found is not None
    assert found.kernel_upgrade == []
    assert found.driver[0] == "linux-modules-nvidia-580-server-open-6.8.0-88-generic"


def test_ubuntu_takes_its_own_signed_modules() -> None:
    found = chosen(NOBLE, Wanted("580"))
    assert (found.source, found.repository, found.pinning) == ("distribution", "", [])
    assert found.driver == [
        "linux-modules-nvidia-580-server-open-6.8.0-88-generic",
        "linux-modules-nvidia-580-server-open-generic",
        "nvidia-headless-no-dkms-580-server-open",
        "nvidia-utils-580-server",
    ]


@pytest.mark.parametrize(
    ("branch", "modules"), [("580", "nvidia-dkms-580-open"), ("590", "nvidia-dkms-open"), ("595", "nvidia-dkms-open")]
)
def test_the_vendor_drops_suffixes_on_ubuntu_from_590_on(branch: str, modules: str) -> None:
    found = chosen(NOBLE, Wanted(branch, "vendor"))
    assert found.repository == "ubuntu2404/x86_64"
    assert found.driver[0] == modules


@pytest.mark.parametrize(
    ("host", "source", "packages"),
    [
        (DEBIAN, "vendor", ["nvidia-kernel-dkms", "nvidia-driver-cuda", "nvidia-persistenced"]),
        (NOBLE, "vendor", ["nvidia-dkms-580", "nvidia-compute-utils-580", "nvidia-utils-580"]),
        (
            NOBLE,
            "distribution",
            [
                "linux-modules-nvidia-580-server-6.8.0-88-generic",
                "linux-modules-nvidia-580-server-generic",
                "nvidia-headless-no-dkms-580-server",
                "nvidia-utils-580-server",
            ],
        ),
    ],
)
def test_a_gpu_without_gsp_gets_the_proprietary_modules(host: Host, source: str, packages: list[str]) -> None:
    found = chosen(host, Wanted("580", source), "1db6")  # V100
    assert (found.modules, found.driver) == ("proprietary", packages)


@pytest.mark.parametrize(
    ("wanted", "ids", "modules"),
    [
        ("auto", [], "open"),
        ("auto", ["1eb8", "20b2", "2330"], "open"),  # T4, A100, H100
        ("auto", ["2901"], "open"),  # B200
        ("auto", ["1b38"], "proprietary"),  # P40
        ("auto", ["1eb8", "1db6"], "proprietary"),  # a T4 beside a V100: both are driven by these
        ("proprietary", ["2330"], "proprietary"),
        ("open", ["2330"], "open"),
    ],
)
def test_kernel_modules_are_such_as_drive_every_gpu(wanted: str, ids: list[str], modules: str) -> None:
    assert chosen(DEBIAN, Wanted("580", kernel_modules=wanted), *ids).modules == modules


@pytest.mark.parametrize(
    ("host", "installed", "displaced"),
    [
        (DEBIAN, ["nvidia-kernel-dkms", "nvidia-driver-cuda"], ["nvidia-kernel-dkms"]),
        (DEBIAN, ["nvidia-kernel-open-dkms"], []),
        (
            NOBLE,
            [
                "linux-modules-nvidia-580-server-generic",
                "nvidia-headless-no-dkms-580-server",
                "nvidia-utils-580-server",
            ],
            ["linux-modules-nvidia-580-server-generic", "nvidia-headless-no-dkms-580-server"],
        ),
    ],
)
def test_modules_of_the_other_kind_make_way(host: Host, installed: list[str], displaced: list[str]) -> None:
    before = dataclasses.replace(host, packages={name: Package("580.126.09-1") for name in installed})
    assert chosen(before, Wanted("580")).displaced == displaced


@pytest.mark.parametrize(
    ("host", "wanted", "has", "exact", "companions", "services"),
    [
        (DEBIAN, Wanted("580"), Fabric(), [], [], []),
        (DEBIAN, Wanted("580"), HGX, ["nvidia-fabricmanager"], [], ["nvidia-fabricmanager.service"]),
        (DEBIAN, Wanted("570"), HGX, ["nvidia-fabricmanager-570"], [], ["nvidia-fabricmanager.service"]),
        (NOBLE, Wanted("580"), HGX, ["nvidia-fabricmanager-580"], [], ["nvidia-fabricmanager.service"]),
        (NOBLE, Wanted("595", "vendor"), HGX, ["nvidia-fabricmanager"], [], ["nvidia-fabricmanager.service"]),
        (
            DEBIAN,
            Wanted("580"),
            NVLINK5,
            ["nvidia-fabricmanager"],
            ["nvlsm", "infiniband-diags"],
            ["nvidia-fabricmanager.service"],
        ),
        (
            NOBLE,
            Wanted("580"),
            NVLINK5,
            ["nvidia-fabricmanager"],
            ["linux-modules-extra-6.8.0-88-generic", "nvlsm", "infiniband-diags"],
            ["nvidia-fabricmanager.service"],
        ),
        (DEBIAN, Wanted("580"), RACK, [], [], []),
        (DEBIAN, Wanted("580", imex=True), RACK, ["nvidia-imex"], [], ["nvidia-imex.service"]),
        (DEBIAN, Wanted("580", imex=True), Fabric(), [], [], []),
    ],
)
def test_a_fabric_is_served_where_there_is_one(
    host: Host, wanted: Wanted, has: Fabric, exact: list[str], companions: list[str], services: list[str]
) -> None:
    found = chosen(host, wanted, has=has)
    assert (found.exact, found.companions, found.services) == (exact, companions, services)
    assert bool(found.boot_modules) is (has.kind == "nvlink5")


def test_nvlink_subnet_manager_comes_from_the_vendor_alone() -> None:
    assert chosen(NOBLE, Wanted("580"), has=NVLINK5).source == "vendor"
    assert chosen(NOBLE, Wanted("580", "distribution"), has=NVLINK5).source == "distribution"


@pytest.mark.parametrize(
    ("kernel", "installed", "flavour"),
    [
        ("6.8.0-88-generic", ("linux-image-generic",), "generic"),
        ("6.8.0-88-generic", ("linux-image-generic", "linux-image-generic-hwe-22.04"), "generic-hwe-22.04"),
        ("6.8.0-88-generic", ("linux-image-virtual",), "generic"),
        ("6.8.0-1030-aws", ("linux-image-aws",), "aws"),
        ("6.8.0-1040-nvidia", ("linux-image-generic", "linux-image-nvidia"), "nvidia"),
        ("6.8.0-88-generic", (), "generic"),
    ],
)
def test_kernel_flavour(kernel: str, installed: tuple[str, ...], flavour: str) -> None:
    assert driver.kernel_flavour(dataclasses.replace(NOBLE, kernel=kernel, kernel_packages=installed)) == flavour


@pytest.mark.parametrize(
    ("changes", "source"),
    [
        ({"release": "11"}, "auto"),
        ({"distribution": "fedora"}, "auto"),
        ({"architecture": "riscv64"}, "auto"),
        ({}, "distribution"),
    ],
)
def test_what_is_not_known_has_no_packages(changes: dict[str, str], source: str) -> None:
    host = dataclasses.replace(DEBIAN, **changes)  # type: ignore[arg-type]
    assert driver.choose(host, Wanted("580", source)) is None
    assert driver.Seen(Wanted("580"), host, (), Fabric(), None).to_dict()["supported"] is False


THEIRS = {"nvidia-driver-580-open": "580.126.09-0ubuntu1", "libnvidia-compute-580": "580.126.09-0ubuntu1"}


@pytest.mark.parametrize(
    ("host", "right"),
    [
        (running("580.126.09"), True),
        (running("580.126.09", loaded_is_open=None, installed_is_open=None), True),  # it does not say
        (running("580.126.09", loaded_is_open=False), False),
        (running("580.126.09", loaded_version=None), False),
        (running("580.126.09", loaded_version="580.95.05"), False),
        (running("580.126.09", library_version="580.95.05"), False),
        (running("595.71.05"), False),
        (DEBIAN, False),
    ],
)
def test_a_driver_is_right_or_not(host: Host, right: bool) -> None:
    assert driver.is_right(host, "580", "open") is right


def test_a_driver_that_is_right_lacks_nothing_whoever_installed_it() -> None:
    host = running("580.126.09", host=NOBLE, packages={name: Package(version) for name, version in THEIRS.items()})
    found = chosen(host, Wanted("580"))
    assert driver.lacking(host, found, "580") == []
    assert driver.to_hold(host, found) == sorted(THEIRS)


def test_ours_lacks_what_is_gone_of_it() -> None:
    found = chosen(DEBIAN, Wanted("580"))
    names = [*found.pinning, *found.driver]
    host = running("580.126.09", packages={name: Package("580.126.09-1") for name in names})
    assert driver.lacking(host, found, "580") == ["linux-headers-6.1.0-41-amd64", "linux-headers-amd64"]
    assert driver.to_hold(host, found) == names


def test_before_an_installation_all_is_lacking_and_nothing_held() -> None:
    found = chosen(DEBIAN, Wanted("580"), has=NVLINK5)
    wanted = [*found.pinning, *found.headers, *found.driver, *found.exact, *found.companions]
    assert driver.lacking(DEBIAN, found, "580") == wanted
    assert driver.to_hold(DEBIAN, found) == []


@pytest.mark.parametrize(
    ("version", "lacking"),
    [("580.126.09-1", []), ("580.95.05-1", ["nvidia-fabricmanager"]), ("1:580.126.09-0ubuntu1", [])],
)
def test_fabric_manager_of_another_version_is_lacking(version: str, lacking: list[str]) -> None:
    found = chosen(DEBIAN, Wanted("580"), has=HGX)
    packages = {name: Package("580.126.09-1") for name in [*found.pinning, *found.headers, *found.driver]}
    host = running("580.126.09", packages={**packages, "nvidia-fabricmanager": Package(version)})
    assert driver.lacking(host, found, "580") == lacking


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, []),
        ({"installed_version": "580.126.09"}, []),
        ({"loaded_version": "580.126.09", "installed_version": "580.126.09"}, []),
        (
            {"loaded_version": "580.95.05", "installed_version": "580.126.09"},
            ["the kernel runs module 580.95.05, while 580.126.09 is installed"],
        ),
        ({"nouveau_loaded": True}, ["the module nouveau is loaded and holds the GPUs"]),
        (
            {"loaded_is_open": True, "installed_is_open": False},
            ["the kernel runs the open modules, while the proprietary ones are installed"],
        ),
        ({"loaded_is_open": True}, []),
        (
            {"module_of_another_kernel": True},
            ["the running kernel 6.1.0-41-amd64 has no NVIDIA module, another one that is installed has it"],
        ),
        ({"module_of_another_kernel": True, "installed_version": "580.126.09"}, []),
    ],
)
def test_reboot_reasons(changes: dict[str, object], reasons: list[str]) -> None:
    host = dataclasses.replace(DEBIAN, **changes)  # type: ignore[arg-type]
    assert driver.reboot_reasons(host) == reasons
