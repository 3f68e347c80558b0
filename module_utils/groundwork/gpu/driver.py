"""Which packages carry NVIDIA's driver on a host, and whether that host must reboot before the driver works.

What is decided here was read in NVIDIA's Driver Installation Guide (package names of Debian and of the vendor's Ubuntu
repository, the pinning package, the repositories' keys) and in Ubuntu's archive (the signed modules of
linux-restricted-modules), since not every one of these systems can be run by the tests of this project.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from ansible.module_utils.groundwork.command import Run
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import architecture, driver_host, fabric, pci
from ansible.module_utils.groundwork.gpu.architecture import Modules
from ansible.module_utils.groundwork.gpu.driver_host import Host
from ansible.module_utils.groundwork.gpu.fabric import Fabric
from ansible.module_utils.groundwork.gpu.model import PciDevice

SUPPORTED = {("debian", "12"), ("debian", "13"), ("ubuntu", "22.04"), ("ubuntu", "24.04")}
VENDOR_KEYS = {("debian", "13"): "8793F200.pub"}  # every other repository of the vendor still uses the key of 2022
VENDOR_KEY_OF_2022 = "3bf863cc.pub"
VENDOR_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "sbsa"}
FIRST_BRANCH_WITHOUT_SUFFIXES = 590  # the guide, "Ubuntu 590 and later packages"
ARGUMENTS: dict[str, dict[str, object]] = {
    "source": {"type": "str", "choices": ["auto", "vendor", "distribution"], "default": "auto"},
    "branch": {"type": "str", "required": True},
    "kernel_modules": {"type": "str", "choices": ["auto", "open", "proprietary"], "default": "auto"},
    "imex": {"type": "bool", "default": False},
}
"""What every module about the driver is told."""

NO_FABRIC = Fabric()
Offered = Callable[[Sequence[str]], frozenset[str]]
"""Those of the packages named that apt could install, or has."""


@dataclass(frozen=True)
class Wanted:
    """What is declared of a host's driver: see role gpu_driver's variables."""

    branch: str
    source: str = "auto"
    kernel_modules: str = "auto"
    imex: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[1-9]\d{2}", self.branch):
            raise GroundworkError(
                f"gpu_driver_branch is {self.branch!r}, and that is no branch",
                'Give the number before the first dot of a driver\'s version, such as "580".',
            )

    @classmethod
    def of(cls, given: Mapping[str, object]) -> Wanted:
        """Out of a module's arguments."""
        return cls(str(given["branch"]), str(given["source"]), str(given["kernel_modules"]), bool(given["imex"]))


@dataclass(frozen=True)
class Packages:
    """Where a host's driver comes from.

    Repository and key are relative to the vendor's place, and empty for Ubuntu's own packages.

    Attributes:
        modules: The kernel modules that these are: open or proprietary.
        kernel_upgrade: The kernel's packages, where it must be brought up to date before there is a driver for it.
        displaced: Installed packages of the other kernel modules, which these take the place of.
        exact: Packages that must be of exactly the driver's version, such as Fabric Manager.
        companions: What those need beside them, of any version.
        services: The units that must run where there is a fabric.
        boot_modules: Kernel modules that those units need.
    """

    source: str
    modules: Modules = "open"
    repository: str = ""
    key: str = ""
    pinning: list[str] = field(default_factory=list)
    kernel_upgrade: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    driver: list[str] = field(default_factory=list)
    displaced: list[str] = field(default_factory=list)
    exact: list[str] = field(default_factory=list)
    companions: list[str] = field(default_factory=list)
    services: list[str] = field(default_factory=list)
    boot_modules: list[str] = field(default_factory=list)


def choose(
    host: Host, wanted: Wanted, gpus: Sequence[PciDevice] = (), has: Fabric = NO_FABRIC, offers: Offered = frozenset
) -> Packages | None:
    """The packages for a host; None where this toolkit knows none.

    Args:
        host: What was seen of it.
        wanted: Source auto is Ubuntu's signed modules on Ubuntu, and the vendor's on Debian. NVLink Subnet Manager is
            in the vendor's repository alone, and so auto takes all from there where the fabric needs it.
        gpus: What is on its PCI bus; the kernel modules are such as drive all of them.
        has: Its fabric.
        offers: What of some packages apt has; all of them where nobody asks.
    """
    if (host.distribution, host.release) not in SUPPORTED or host.architecture not in VENDOR_ARCHITECTURES:
        return None
    source = wanted.source
    if source == "auto":
        source = "distribution" if host.distribution == "ubuntu" and has.kind != "nvlink5" else "vendor"
    if source == "distribution" and host.distribution != "ubuntu":
        return None
    modules = architecture.choose(wanted.kernel_modules, gpus)
    chosen = _vendor if source == "vendor" else _ubuntu_signed
    found = chosen(host, wanted.branch, modules, offers)
    others = chosen(host, wanted.branch, _other(modules), frozenset).driver
    return replace(
        found,
        displaced=[name for name in others if name in host.packages and name not in found.driver],
        exact=fabric.packages(has, source, int(wanted.branch), wanted.imex),
        companions=fabric.companions(has, host.distribution, host.kernel),
        services=fabric.services(has, wanted.imex),
        boot_modules=fabric.modules(has),
    )


def _other(modules: Modules) -> Modules:
    return "proprietary" if modules == "open" else "open"


def _vendor(host: Host, branch: str, modules: Modules, offers: Offered) -> Packages:
    """The vendor's repository: modules are built on the host by DKMS, so its kernel's headers are needed first.

    And those of each later kernel with it, or there is no driver after the kernel's next upgrade: that is what the
    headers of the flavour are for.
    """
    system = host.distribution + host.release.replace(".", "")
    is_open = modules == "open"
    if host.distribution == "debian":
        dkms = "nvidia-kernel-open-dkms" if is_open else "nvidia-kernel-dkms"
        driver = [dkms, "nvidia-driver-cuda", "nvidia-persistenced"]
    else:
        suffix = f"-{branch}" if int(branch) < FIRST_BRANCH_WITHOUT_SUFFIXES else ""
        dkms = f"nvidia-dkms{suffix}{'-open' if is_open else ''}"
        driver = [dkms, f"nvidia-compute-utils{suffix}", f"nvidia-utils{suffix}"]
    running = [] if host.headers_present else [f"linux-headers-{host.kernel}"]
    following = [f"linux-headers-{kernel_flavour(host)}"] if flavours(host) else []
    outdated = _is_outdated(running, following, offers)
    return Packages(
        source="vendor",
        modules=modules,
        repository=f"{system}/{VENDOR_ARCHITECTURES[host.architecture]}",
        key=VENDOR_KEYS.get((host.distribution, host.release), VENDOR_KEY_OF_2022),
        pinning=[f"nvidia-driver-pinning-{branch}"],
        kernel_upgrade=list(flavours(host)) if outdated else [],
        headers=following if outdated else [*running, *following],
        driver=driver,
    )


def _ubuntu_signed(host: Host, branch: str, modules: Modules, offers: Offered) -> Packages:
    """Ubuntu's own packages: modules for the running kernel and for those that follow it, signed by Canonical."""
    kind = f"{branch}-server{'-open' if modules == 'open' else ''}"
    running = [f"linux-modules-nvidia-{kind}-{host.kernel}"]
    following = [f"linux-modules-nvidia-{kind}-{kernel_flavour(host)}"]
    outdated = _is_outdated(running, following, offers)
    return Packages(
        source="distribution",
        modules=modules,
        kernel_upgrade=list(flavours(host)) if outdated else [],
        driver=[
            *([] if outdated else running),
            *following,
            f"nvidia-headless-no-dkms-{kind}",
            f"nvidia-utils-{branch}-server",
        ],
    )


def _is_outdated(running: Sequence[str], following: Sequence[str], offers: Offered) -> bool:
    """Whether apt has what the flavour's newest kernel needs, and nothing for the one that runs.

    Archives drop the packages of a kernel some time after the next one came; a server that was installed from an older
    medium still runs it. Nothing is known where apt has neither, as before its first update.
    """
    has = offers([*running, *following])
    return bool(following) and has.issuperset(following) and not has.issuperset(running)


def flavours(host: Host) -> dict[str, str]:
    """The flavours of the running kernel by the packages that bring them, such as linux-image-generic.

    linux-image-virtual brings the generic kernel without its extra modules; nothing else goes by that name.
    """
    names = {name: name.removeprefix("linux-image-").replace("virtual", "generic") for name in host.kernel_packages}
    if host.distribution == "debian":  # 6.12.43+deb13-cloud-amd64 is of linux-image-cloud-amd64
        kept = [flavour for flavour in names.values() if host.kernel.endswith(f"-{flavour}")]
        return {name: flavour for name, flavour in names.items() if flavour == max(kept, key=len, default=None)}
    running = host.kernel.rsplit("-", 1)[-1]
    return {name: flavour for name, flavour in names.items() if flavour.split("-")[0] == running}


def kernel_flavour(host: Host) -> str:
    """The flavour that a host's kernel follows, such as generic-hwe-24.04."""
    return max(flavours(host).values(), key=len, default=host.kernel.rsplit("-", 1)[-1])


def is_right(host: Host, branch: str, modules: Modules) -> bool:
    """Whether the driver that runs is as declared, whoever installed it: then nothing of it is touched."""
    version = host.loaded_version
    return (
        version is not None
        and version.startswith(f"{branch}.")
        and version == host.installed_version == host.library_version
        and host.loaded_is_open in (None, modules == "open")
    )


def lacking(host: Host, chosen: Packages, branch: str) -> list[str]:
    """The packages that an installation would bring.

    A driver that somebody else installed, by packages of other names, is no reason to replace it by ours.
    """
    version = host.loaded_version or host.installed_version or ""
    ours = [*chosen.pinning, *chosen.headers, *chosen.driver]
    keeps = is_right(host, branch, chosen.modules) and not set(chosen.driver) <= set(host.packages)
    found = [] if keeps else [name for name in ours if name not in host.packages]
    found += [name for name in chosen.exact if not host.has(name, version)]
    return found + [name for name in chosen.companions if name not in host.packages]


def to_hold(host: Host, chosen: Packages) -> list[str]:
    """The installed packages that no upgrade may touch by itself: ours, or those of somebody else's driver."""
    ours = [name for name in [*chosen.pinning, *chosen.driver, *chosen.exact] if name in host.packages]
    if set(chosen.driver) <= set(ours) or host.installed_version is None:
        return ours
    theirs = [name for name in host.packages if host.has(name, host.installed_version)]
    return sorted({*ours, *theirs})


def reboot_reasons(host: Host) -> list[str]:
    """Why the driver on disk cannot work before a reboot; empty where it can."""
    reasons = []
    if host.nouveau_loaded:
        reasons.append("the module nouveau is loaded and holds the GPUs")
    if host.loaded_version and host.installed_version and host.loaded_version != host.installed_version:
        reasons.append(f"the kernel runs module {host.loaded_version}, while {host.installed_version} is installed")
    elif None not in (host.loaded_is_open, host.installed_is_open) and host.loaded_is_open != host.installed_is_open:
        kinds = {True: "open", False: "proprietary"}
        loaded, installed = (kinds[bool(one)] for one in (host.loaded_is_open, host.installed_is_open))
        reasons.append(f"the kernel runs the {loaded} modules, while the {installed} ones are installed")
    if not (host.loaded_version or host.installed_version) and host.module_of_another_kernel:
        reasons.append(f"the running kernel {host.kernel} has no NVIDIA module, another one that is installed has it")
    return reasons


@dataclass(frozen=True)
class Seen:
    """A host with its GPUs, what is wanted of its driver, and what that comes to; no packages where none are known."""

    wanted: Wanted
    host: Host
    gpus: tuple[PciDevice, ...]
    fabric: Fabric
    packages: Packages | None

    @property
    def chosen(self) -> Packages:
        """The packages; none of any kind where this toolkit knows none."""
        return self.packages or Packages(source="")

    @property
    def is_right(self) -> bool:
        """Whether the driver that runs is as declared."""
        return is_right(self.host, self.wanted.branch, self.chosen.modules)

    @property
    def lacking(self) -> list[str]:
        """The packages that an installation would bring."""
        return lacking(self.host, self.chosen, self.wanted.branch)

    def to_dict(self) -> dict[str, object]:
        """The return shape of module nvidia_driver_info."""
        return {
            **driver_host.to_dict(self.host),
            "supported": self.packages is not None,
            **asdict(self.chosen),
            "fabric": asdict(self.fabric),
            "is_right": self.is_right,
            "lacking": self.lacking,
            "to_hold": to_hold(self.host, self.chosen),
            "reboot_reasons": reboot_reasons(self.host),
        }


def see(run: Run, wanted: Wanted) -> Seen:
    """Look at this host and choose its packages."""
    host, devices = driver_host.observe(run), pci.observe()
    has = fabric.observe(devices)
    gpus = tuple(device for device in devices if device.kind == "gpu")
    packages = choose(host, wanted, gpus, has, lambda names: driver_host.offered(run, names))
    return Seen(wanted, host, gpus, has, packages)
