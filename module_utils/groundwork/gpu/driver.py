"""Which packages carry NVIDIA's driver on a host, and whether that host must reboot before the driver works.

What is decided here was read in NVIDIA's Driver Installation Guide (package names of Debian and of the vendor's Ubuntu
repository, the pinning package, the repositories' keys) and in Ubuntu's archive (the signed modules of
linux-restricted-modules), since not every one of these systems can be run by the tests of this project.
"""

from __future__ import annotations

import platform
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ansible.module_utils.groundwork.command import Run

SUPPORTED = {("debian", "12"), ("debian", "13"), ("ubuntu", "22.04"), ("ubuntu", "24.04")}
VENDOR_KEYS = {("debian", "13"): "8793F200.pub"}  # every other repository of the vendor still uses the key of 2022
VENDOR_KEY_OF_2022 = "3bf863cc.pub"
VENDOR_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "sbsa"}
SECURE_BOOT_VARIABLE = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
FIRST_BRANCH_WITHOUT_SUFFIXES = 590  # the guide, "Ubuntu 590 and later packages"
COMMAND_SECONDS = 30.0


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


@dataclass(frozen=True)
class Packages:
    """Where a host's driver comes from.

    Repository and key are relative to the vendor's place, and empty for Ubuntu's own packages.
    """

    source: str
    repository: str = ""
    key: str = ""
    pinning: list[str] = field(default_factory=list)
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


def driver_version(text: str) -> str | None:
    """The first driver version in a text, such as 580.126.09."""
    found = re.search(r"\b\d{3}\.\d+(?:\.\d+)?\b", text)
    return found.group() if found else None


def choose(host: Host, source: str, branch: str) -> Packages | None:
    """The packages for a host; None where this toolkit knows none.

    Args:
        host: What was seen of it.
        source: auto, vendor or distribution. Auto is Ubuntu's signed modules on Ubuntu, and the vendor's on Debian.
        branch: The driver branch, such as 580.
    """
    if (host.distribution, host.release) not in SUPPORTED or host.architecture not in VENDOR_ARCHITECTURES:
        return None
    if source == "auto":
        source = "distribution" if host.distribution == "ubuntu" else "vendor"
    if source == "vendor":
        return _vendor(host, branch)
    return _ubuntu_signed(host, branch) if host.distribution == "ubuntu" else None


def _vendor(host: Host, branch: str) -> Packages:
    """The vendor's repository: modules are built on the host by DKMS, so its kernel's headers are needed first."""
    system = host.distribution + host.release.replace(".", "")
    if host.distribution == "debian":
        driver = ["nvidia-kernel-open-dkms", "nvidia-driver-cuda", "nvidia-persistenced"]
    elif int(branch) < FIRST_BRANCH_WITHOUT_SUFFIXES:
        driver = [f"nvidia-dkms-{branch}-open", f"nvidia-compute-utils-{branch}", f"nvidia-utils-{branch}"]
    else:
        driver = ["nvidia-dkms-open", "nvidia-compute-utils", "nvidia-utils"]
    return Packages(
        source="vendor",
        repository=f"{system}/{VENDOR_ARCHITECTURES[host.architecture]}",
        key=VENDOR_KEYS.get((host.distribution, host.release), VENDOR_KEY_OF_2022),
        pinning=[f"nvidia-driver-pinning-{branch}"],
        headers=[] if host.headers_present else [f"linux-headers-{host.kernel}"],
        driver=driver,
    )


def _ubuntu_signed(host: Host, branch: str) -> Packages:
    """Ubuntu's own packages: modules for the running kernel and for those that follow it, signed by Canonical."""
    modules = f"linux-modules-nvidia-{branch}-server-open"
    return Packages(
        source="distribution",
        driver=[
            f"{modules}-{host.kernel}",
            f"{modules}-{kernel_flavour(host)}",
            f"nvidia-headless-no-dkms-{branch}-server-open",
            f"nvidia-utils-{branch}-server",
        ],
    )


def kernel_flavour(host: Host) -> str:
    """The flavour that a host's kernel follows, such as generic-hwe-24.04.

    linux-image-virtual brings the generic kernel without its extra modules; there are no NVIDIA modules of that name.
    """
    running = host.kernel.rsplit("-", 1)[-1]
    flavours = [name.removeprefix("linux-image-").replace("virtual", "generic") for name in host.kernel_packages]
    matching = [name for name in flavours if name.split("-")[0] == running]
    return max(matching, key=len, default=running)


def reboot_reasons(host: Host) -> list[str]:
    """Why the driver on disk cannot work before a reboot; empty where it can."""
    reasons = []
    if host.nouveau_loaded:
        reasons.append("the module nouveau is loaded and holds the GPUs")
    if host.loaded_version and host.installed_version and host.loaded_version != host.installed_version:
        reasons.append(f"the kernel runs module {host.loaded_version}, while {host.installed_version} is installed")
    return reasons


def report(host: Host, packages: Packages | None) -> dict[str, object]:
    """All of it as a module returns it; `supported` says whether there are packages at all."""
    chosen = packages or Packages(source="")
    return {**asdict(host), "supported": packages is not None, **asdict(chosen), "reboot_reasons": reboot_reasons(host)}
