"""Which packages carry NVIDIA's driver on a host, and whether that host must reboot before the driver works.

What is decided here was read in NVIDIA's Driver Installation Guide (package names of Debian and of the vendor's Ubuntu
repository, the pinning package, the repositories' keys) and in Ubuntu's archive (the signed modules of
linux-restricted-modules), since not every one of these systems can be run by the tests of this project.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ansible.module_utils.groundwork.command import Run

SUPPORTED = {("debian", "12"), ("debian", "13"), ("ubuntu", "22.04"), ("ubuntu", "24.04")}
VENDOR_KEYS = {("debian", "13"): "8793F200.pub"}  # every other repository of the vendor still uses the key of 2022
VENDOR_KEY_OF_2022 = "3bf863cc.pub"
VENDOR_OLDEST_BRANCHES = {("debian", "13"): 590}  # NVIDIA/cuda-repo-management#38
VENDOR_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "sbsa"}
SECURE_BOOT_VARIABLE = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
FIRST_BRANCH_WITHOUT_SUFFIXES = 590  # the guide, "Ubuntu 590 and later packages"
UNINSTALLER = "usr/bin/nvidia-uninstall"
"""What the vendor's .run installer leaves, and no package has."""
MODULE = re.compile(r"/nvidia(-current)?\.ko")
COMMAND_SECONDS = 30.0

Offered = Callable[[Sequence[str]], frozenset[str]]
"""Those of the packages named that apt could install, or has."""


@dataclass(frozen=True)
class Host:
    """What was seen of a host that matters to its driver.

    Attributes:
        distribution: The ID of /etc/os-release.
        release: The VERSION_ID of /etc/os-release.
        architecture: As uname -m tells it.
        kernel: The release of the running kernel.
        kernel_packages: The installed packages linux-image-* that follow a flavour, such as linux-image-generic.
        headers_present: Whether the running kernel's headers are where DKMS looks for them.
        secure_boot: Whether the firmware refuses modules without a known signature.
        uvm_loaded: Whether CUDA's own module is there beside the driver's.
        nouveau_loaded: Whether the free driver nouveau holds the GPUs.
        loaded_version: The version of the NVIDIA module in the kernel, or None.
        installed_version: The version of the NVIDIA module on disk for the running kernel, or None.
        module_of_another_kernel: Whether another kernel that is installed has an NVIDIA module.
        runfile_installed: Whether a driver was installed by the vendor's .run file, which no package knows of.
    """

    distribution: str
    release: str
    architecture: str
    kernel: str
    kernel_packages: tuple[str, ...] = ()
    headers_present: bool = False
    secure_boot: bool = False
    uvm_loaded: bool = False
    nouveau_loaded: bool = False
    loaded_version: str | None = None
    installed_version: str | None = None
    module_of_another_kernel: bool = False
    runfile_installed: bool = False


@dataclass(frozen=True)
class Packages:
    """Where a host's driver comes from.

    Repository and key are relative to the vendor's place, and empty for Ubuntu's own packages.

    Attributes:
        oldest_branch: The oldest branch that the vendor's repository has, where it is known; else 0.
        kernel_upgrade: The kernel's packages, where it must be brought up to date before there is a driver for it.
    """

    source: str
    repository: str = ""
    key: str = ""
    oldest_branch: int = 0
    pinning: list[str] = field(default_factory=list)
    kernel_upgrade: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    driver: list[str] = field(default_factory=list)


def observe(run: Run, root: Path = Path("/")) -> Host:
    """Looks at the host whose root directory is given."""
    system = os_release((root / "etc/os-release").read_text(encoding="utf-8"))
    kernel = platform.release()
    return Host(
        distribution=system.get("ID", ""),
        release=system.get("VERSION_ID", ""),
        architecture=platform.machine(),
        kernel=kernel,
        kernel_packages=kernel_packages(run),
        headers_present=(root / "lib/modules" / kernel / "build").exists(),
        secure_boot=secure_boot(run, root),
        uvm_loaded=any((root / path).exists() for path in ("sys/module/nvidia_uvm", "dev/nvidia-uvm")),
        nouveau_loaded=(root / "sys/module/nouveau").exists(),
        loaded_version=loaded_version(root),
        installed_version=installed_version(run),
        module_of_another_kernel=module_of_another_kernel(root, kernel),
        runfile_installed=(root / UNINSTALLER).exists(),
    )


def os_release(text: str) -> dict[str, str]:
    """The assignments of an os-release file, without their quotes."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key: value.strip().strip("\"'") for key, value in pairs}


def kernel_packages(run: Run) -> tuple[str, ...]:
    """The installed kernel packages that follow a flavour; those of one version only start with a digit instead."""
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\\n", "linux-image-*"]
    output = run(query, COMMAND_SECONDS)
    installed = (line.split()[0] for line in output.stdout.splitlines() if line.endswith(" installed"))
    return tuple(sorted(name for name in installed if re.match(r"linux-image-[a-z]", name)))


def secure_boot(run: Run, root: Path) -> bool:
    """Ask mokutil, else the firmware's variable: four bytes of attributes, then the value. No EFI is no Secure Boot."""
    output = run(["mokutil", "--sb-state"], COMMAND_SECONDS)
    if output.code == 0:
        return "SecureBoot enabled" in output.stdout
    variable = root / SECURE_BOOT_VARIABLE
    return variable.exists() and variable.read_bytes()[4:5] == b"\x01"


def loaded_version(root: Path) -> str | None:
    """The version in /proc/driver/nvidia/version, which is there when the module is loaded."""
    version = root / "proc/driver/nvidia/version"
    return driver_version(version.read_text(encoding="utf-8")) if version.exists() else None


def installed_version(run: Run) -> str | None:
    """The version of the module that modprobe would load now."""
    output = run(["modinfo", "-F", "version", "nvidia"], COMMAND_SECONDS)
    return driver_version(output.stdout) if output.code == 0 else None


def module_of_another_kernel(root: Path, running: str) -> bool:
    """Whether depmod found the driver's module for a kernel that does not run."""
    lists = (path for path in (root / "lib/modules").glob("*/modules.dep") if path.parent.name != running)
    return any(MODULE.search(path.read_text(encoding="utf-8", errors="replace")) for path in lists)


def offered(run: Run, names: Sequence[str]) -> frozenset[str]:
    """Those of the packages that apt could install, or has. It passes over names that it has never heard of."""
    output = run(["apt-cache", "policy", *names], COMMAND_SECONDS)
    candidates = re.findall(r"^(\S+):\n(?:  .*\n)*?  Candidate: (\S+)", output.stdout, re.MULTILINE)
    return frozenset(name for name, version in candidates if version != "(none)")


def driver_version(text: str) -> str | None:
    """The first driver version in a text, such as 580.126.09."""
    found = re.search(r"\b\d{3}\.\d+(?:\.\d+)?\b", text)
    return found.group() if found else None


def choose(host: Host, source: str, branch: str, offers: Offered = frozenset) -> Packages | None:
    """The packages for a host; None where this toolkit knows none.

    Args:
        host: What was seen of it.
        source: auto, vendor or distribution. Auto is Ubuntu's signed modules on Ubuntu, and the vendor's on Debian.
        branch: The driver branch, such as 580.
        offers: What of some packages apt has; all of them where nobody asks.
    """
    if (host.distribution, host.release) not in SUPPORTED or host.architecture not in VENDOR_ARCHITECTURES:
        return None
    if source == "auto":
        source = "distribution" if host.distribution == "ubuntu" else "vendor"
    if source == "vendor":
        return _vendor(host, branch, offers)
    return _ubuntu_signed(host, branch, offers) if host.distribution == "ubuntu" else None


def _vendor(host: Host, branch: str, offers: Offered) -> Packages:
    """The vendor's repository: modules are built on the host by DKMS, so its kernel's headers are needed first.

    And those of each later kernel with it, or there is no driver after the kernel's next upgrade: that is what the
    headers of the flavour are for.
    """
    system = host.distribution + host.release.replace(".", "")
    if host.distribution == "debian":
        driver = ["nvidia-kernel-open-dkms", "nvidia-driver-cuda", "nvidia-persistenced"]
    elif int(branch) < FIRST_BRANCH_WITHOUT_SUFFIXES:
        driver = [f"nvidia-dkms-{branch}-open", f"nvidia-compute-utils-{branch}", f"nvidia-utils-{branch}"]
    else:
        driver = ["nvidia-dkms-open", "nvidia-compute-utils", "nvidia-utils"]
    running = [] if host.headers_present else [f"linux-headers-{host.kernel}"]
    following = [f"linux-headers-{kernel_flavour(host)}"] if flavours(host) else []
    outdated = _is_outdated(running, following, offers)
    return Packages(
        source="vendor",
        repository=f"{system}/{VENDOR_ARCHITECTURES[host.architecture]}",
        key=VENDOR_KEYS.get((host.distribution, host.release), VENDOR_KEY_OF_2022),
        oldest_branch=VENDOR_OLDEST_BRANCHES.get((host.distribution, host.release), 0),
        pinning=[f"nvidia-driver-pinning-{branch}"],
        kernel_upgrade=list(flavours(host)) if outdated else [],
        headers=following if outdated else [*running, *following],
        driver=driver,
    )


def _ubuntu_signed(host: Host, branch: str, offers: Offered) -> Packages:
    """Ubuntu's own packages: modules for the running kernel and for those that follow it, signed by Canonical."""
    modules = f"linux-modules-nvidia-{branch}-server-open"
    running, following = [f"{modules}-{host.kernel}"], [f"{modules}-{kernel_flavour(host)}"]
    outdated = _is_outdated(running, following, offers)
    return Packages(
        source="distribution",
        kernel_upgrade=list(flavours(host)) if outdated else [],
        driver=[
            *([] if outdated else running),
            *following,
            f"nvidia-headless-no-dkms-{branch}-server-open",
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


def reboot_reasons(host: Host) -> list[str]:
    """Why the driver on disk cannot work before a reboot; empty where it can."""
    reasons = []
    if host.nouveau_loaded:
        reasons.append("the module nouveau is loaded and holds the GPUs")
    if host.loaded_version and host.installed_version and host.loaded_version != host.installed_version:
        reasons.append(f"the kernel runs module {host.loaded_version}, while {host.installed_version} is installed")
    if not (host.loaded_version or host.installed_version) and host.module_of_another_kernel:
        reasons.append(f"the running kernel {host.kernel} has no NVIDIA module, another one that is installed has it")
    return reasons


def report(host: Host, packages: Packages | None) -> dict[str, object]:
    """All of it as a module returns it; `supported` says whether there are packages at all."""
    chosen = packages or Packages(source="")
    return {**asdict(host), "supported": packages is not None, **asdict(chosen), "reboot_reasons": reboot_reasons(host)}
