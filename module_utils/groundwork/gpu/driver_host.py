"""What is seen of a host that matters to NVIDIA's driver: system, kernel, firmware, modules, packages."""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ansible.module_utils.groundwork.command import Run
from ansible.module_utils.groundwork.gpu import kernel

SECURE_BOOT_VARIABLE = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
OWN_KEYS = ("var/lib/dkms/mok.pub", "var/lib/shim-signed/mok/MOK.der")
"""The keys that DKMS signs with: Debian's and Ubuntu's, both in DER."""
UNINSTALLER = "usr/bin/nvidia-uninstall"
"""What the vendor's .run installer leaves, and no package has."""
MODULE = re.compile(r"/nvidia(-current)?\.ko")
OF_INTEREST = re.compile(r".*nvidia|libcuda1$|nvlsm$|infiniband-diags$|linux-(image|headers|modules-extra)-")
OPEN_LICENSE = "Dual MIT/GPL"
COMMAND_SECONDS = 30.0


@dataclass(frozen=True)
class Package:
    """An installed package; held is that no upgrade touches it."""

    version: str
    held: bool = False


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
        secure_boot: Whether the kernel refuses modules without a known signature.
        own_key_enrolled: Whether the firmware knows the key that DKMS signs with on this host.
        uvm_loaded: Whether CUDA's own module is there beside the driver's.
        nouveau_loaded: Whether the free driver nouveau holds the GPUs.
        loaded_version: The version of the NVIDIA module in the kernel, or None.
        loaded_is_open: Whether it is the open one.
        installed_version: The version of the NVIDIA module on disk for the running kernel, or None.
        installed_is_open: Whether that one is open.
        library_version: The version of NVML's library on disk, or None.
        module_of_another_kernel: Whether another kernel that is installed has an NVIDIA module.
        kernels_without_module: Newer kernels than the running one that have none: the next boot takes one of these.
        runfile_installed: Whether a driver was installed by the vendor's .run file, which no package knows of.
        packages: The installed packages that a driver is made of, and kernels and headers.
    """

    distribution: str
    release: str
    architecture: str
    kernel: str
    kernel_packages: tuple[str, ...] = ()
    headers_present: bool = False
    secure_boot: bool = False
    own_key_enrolled: bool = False
    uvm_loaded: bool = False
    nouveau_loaded: bool = False
    loaded_version: str | None = None
    loaded_is_open: bool | None = None
    installed_version: str | None = None
    installed_is_open: bool | None = None
    library_version: str | None = None
    module_of_another_kernel: bool = False
    kernels_without_module: tuple[str, ...] = ()
    runfile_installed: bool = False
    packages: Mapping[str, Package] = field(default_factory=dict)

    def has(self, name: str, version: str) -> bool:
        """Whether a package is there in the version of a driver: 580.126.09-1, or 1:580.126.09-0ubuntu1."""
        found = self.packages.get(name)
        return found is not None and bool(re.match(rf"(\d+:)?{re.escape(version)}-", found.version))


def observe(run: Run, root: Path = Path("/")) -> Host:
    """Looks at the host whose root directory is given."""
    system = os_release((root / "etc/os-release").read_text(encoding="utf-8"))
    running = platform.release()
    installed = packages(run)
    loaded_version, loaded_is_open = kernel.observe(root / "proc")
    module = modinfo(run)
    return Host(
        distribution=system.get("ID", ""),
        release=system.get("VERSION_ID", ""),
        architecture=platform.machine(),
        kernel=running,
        kernel_packages=tuple(sorted(name for name in installed if re.match(r"linux-image-[a-z]", name))),
        headers_present=(root / "lib/modules" / running / "build").exists(),
        secure_boot=secure_boot(run, root),
        own_key_enrolled=own_key_enrolled(run, root),
        uvm_loaded=any((root / path).exists() for path in ("sys/module/nvidia_uvm", "dev/nvidia-uvm")),
        nouveau_loaded=(root / "sys/module/nouveau").exists(),
        loaded_version=loaded_version,
        loaded_is_open=loaded_is_open,
        installed_version=driver_version(module.get("version", "")),
        installed_is_open=OPEN_LICENSE in module["license"] if "license" in module else None,
        library_version=library_version(root),
        module_of_another_kernel=any(has_module(path) for path in kernels(root) if path.name != running),
        kernels_without_module=newer_without_module(root, running),
        runfile_installed=(root / UNINSTALLER).exists(),
        packages=installed,
    )


def to_dict(host: Host) -> dict[str, object]:
    """Its shape in a module's result: of the packages, their versions."""
    versions = {name: package.version for name, package in host.packages.items()}
    return {**asdict(host), "packages": versions}


def os_release(text: str) -> dict[str, str]:
    """The assignments of an os-release file, without their quotes."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key: value.strip().strip("\"'") for key, value in pairs}


def packages(run: Run) -> dict[str, Package]:
    """The installed packages that may have to do with a driver."""
    query = ["dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Want} ${db:Status-Status}\\n"]
    rows = (line.split() for line in run(query, COMMAND_SECONDS).stdout.splitlines())
    return {
        row[0]: Package(row[1], held=row[2] == "hold")
        for row in rows
        if len(row) == 4 and row[3] == "installed" and OF_INTEREST.match(row[0])
    }


def secure_boot(run: Run, root: Path) -> bool:
    """Ask mokutil, else the firmware's variable: four bytes of attributes, then the value. No EFI is no Secure Boot.

    Where people have switched validation off in shim, the kernel takes any module, though the firmware says enabled.
    """
    output = run(["mokutil", "--sb-state"], COMMAND_SECONDS)
    if output.code == 0:
        return "SecureBoot enabled" in output.stdout and "validation is disabled in shim" not in output.stdout
    variable = root / SECURE_BOOT_VARIABLE
    return variable.exists() and variable.read_bytes()[4:5] == b"\x01"


def own_key_enrolled(run: Run, root: Path) -> bool:
    """Whether a key that DKMS signs with is among those enrolled; one that still waits for a person at boot is not."""
    keys = [path.read_bytes() for path in (root / name for name in OWN_KEYS) if path.exists()]
    if not keys:
        return False
    known = run(["mokutil", "--list-enrolled"], COMMAND_SECONDS).stdout.lower().replace(":", "")
    return any(hashlib.sha1(key, usedforsecurity=False).hexdigest() in known for key in keys)


def modinfo(run: Run) -> dict[str, str]:
    """What the module says of itself that modprobe would load now; nothing where there is none."""
    output = run(["modinfo", "nvidia"], COMMAND_SECONDS)
    pairs = (line.split(":", 1) for line in output.stdout.splitlines() if ":" in line)
    return {key: value.strip() for key, value in pairs} if output.code == 0 else {}


def library_version(root: Path) -> str | None:
    """The version that NVML's library is of, by the name that its link leads to."""
    links = sorted((root / "usr/lib").glob("*-linux-gnu/libnvidia-ml.so.1"))
    return driver_version(links[0].resolve().name) if links else None


def kernels(root: Path) -> list[Path]:
    """Where the modules of kernels are that are installed; headers alone make no modules.dep."""
    return [path.parent for path in (root / "lib/modules").glob("*/modules.dep")]


def has_module(modules: Path) -> bool:
    """Whether depmod found the driver's module for a kernel."""
    return bool(MODULE.search((modules / "modules.dep").read_text(encoding="utf-8", errors="replace")))


def newer_without_module(root: Path, running: str) -> tuple[str, ...]:
    """Kernels that are newer than the running one and have no NVIDIA module."""
    found = [path for path in kernels(root) if _order(path.name) > _order(running) and not has_module(path)]
    return tuple(sorted((path.name for path in found), key=_order))


def _order(release: str) -> list[tuple[int, str]]:
    """By numbers where they stand, so that 6.8.0-100 comes after 6.8.0-88."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"\d+|\D+", release)]


def offered(run: Run, names: Sequence[str]) -> frozenset[str]:
    """Those of the packages that apt could install, or has. It passes over names that it has never heard of."""
    output = run(["apt-cache", "policy", *names], COMMAND_SECONDS)
    candidates = re.findall(r"^(\S+):\n(?:  .*\n)*?  Candidate: (\S+)", output.stdout, re.MULTILINE)
    return frozenset(name for name, version in candidates if version != "(none)")


def driver_version(text: str) -> str | None:
    """The first driver version in a text, such as 580.126.09."""
    found = re.search(r"\b\d{3}\.\d+(?:\.\d+)?\b", text)
    return found.group() if found else None
