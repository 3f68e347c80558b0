"""What would stop a host's driver, known before anything is changed: GPUs, firmware, repositories, what is there."""

from __future__ import annotations

from collections.abc import Callable

from ansible.module_utils.groundwork.check import Check, judge, ok, skipped, warning
from ansible.module_utils.groundwork.command import Run
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import architecture, published
from ansible.module_utils.groundwork.gpu.driver import Seen
from ansible.module_utils.groundwork.gpu.published import Published

Ask = Callable[[], Published]


def check(seen: Seen, ask: Ask) -> list[Check]:
    """All verdicts; repositories are asked only where something must come out of them."""
    return [kernel_modules(seen), secure_boot(seen), installed_branch(seen), *repository(seen, ask), fabric(seen)]


def ask_repository(seen: Seen, run: Run, vendor_url: str) -> Published:
    """What the source of the packages has. Raises GroundworkError where it does not answer."""
    chosen = seen.chosen
    if chosen.source == "vendor":
        return published.of_repository(f"{vendor_url.rstrip('/')}/{chosen.repository}/")
    return published.of_archive(run, wanted_of_repository(seen), seen.wanted.branch)


def wanted_of_repository(seen: Seen) -> list[str]:
    """The packages that must be published; Ubuntu's modules for a kernel that is outdated need not be."""
    driver = [name for name in seen.chosen.driver if not name.endswith(f"-{seen.host.kernel}")]
    fabric = [*seen.chosen.exact, *(name for name in seen.chosen.companions if name == "nvlsm")]
    return [*seen.chosen.pinning, *driver, *fabric]


def kernel_modules(seen: Seen) -> Check:
    """Whether the chosen kernel modules, in the chosen branch, drive every GPU of the host."""
    name, modules = "gpu_driver.kernel_modules_drive_every_gpu", seen.chosen.modules
    if not seen.gpus:
        return skipped(name, "no NVIDIA GPU on the PCI bus")
    kinds = sorted({architecture.of(gpu.device_id).name for gpu in seen.gpus})
    faults = architecture.not_driven(seen.gpus, modules, int(seen.wanted.branch))
    return judge(
        name,
        not faults,
        "; ".join(faults) or f"{len(seen.gpus)} GPUs, {', '.join(kinds)}",
        f"GPUs that the {modules} kernel modules of branch {seen.wanted.branch} drive",
        _remedy_for_modules(seen),
    )


def _remedy_for_modules(seen: Seen) -> str:
    found = [architecture.of(gpu.device_id) for gpu in seen.gpus]
    lasts = [one.last_branch for one in found if one.modules and one.last_branch]
    if architecture.cannot_share_a_host(seen.gpus):
        return "No one driver runs these GPUs together: put those of the older generation into another host."
    if not all(one.modules for one in found):
        return (
            "Take these GPUs out, or the host out of the group gpu_nodes: no driver that runs today's CUDA knows them."
        )
    if lasts and int(seen.wanted.branch) > min(lasts):
        return f'Set gpu_driver_branch to "{min(lasts)}" for this host.'
    return "Set gpu_driver_kernel_modules to auto for this host: it takes those that drive all of its GPUs."


def secure_boot(seen: Seen) -> Check:
    """A module that was built on the host loads only with a key that the firmware knows."""
    name, host = "gpu_driver.secure_boot", seen.host
    if not host.secure_boot:
        return ok(name, "Secure Boot is off", "modules that the firmware lets in")
    if seen.is_right:
        return ok(name, "Secure Boot is on, and the driver's module is loaded", "modules that the firmware lets in")
    fits = seen.chosen.source == "distribution" or host.own_key_enrolled
    key = "knows" if host.own_key_enrolled else "does not know"
    remedy = (
        "Turn Secure Boot off in the firmware's settings: the vendor's modules are built on the host, and signed with"
        " no key that the firmware knows. Or enrol the host's own key: mokutil --import /var/lib/dkms/mok.pub (Ubuntu:"
        " /var/lib/shim-signed/mok/MOK.der), reboot, and confirm it at the console."
    )
    if host.distribution == "ubuntu":
        remedy += " Or set gpu_driver_source to distribution: those modules are signed."
    wanted = f"modules that the firmware lets in, from source {seen.chosen.source}"
    return judge(name, fits, f"Secure Boot is on, and the firmware {key} this host's own key", wanted, remedy)


def installed_branch(seen: Seen) -> Check:
    """A driver of another branch is moved by people who know that it is moved, not by a run that installs."""
    name, wanted = "gpu_driver.no_other_branch", seen.wanted.branch
    version = seen.host.installed_version or seen.host.loaded_version
    if version is None:
        return ok(name, "no driver is installed", f"no driver of another branch than {wanted}")
    return judge(
        name,
        version.startswith(f"{wanted}."),
        f"driver {version} is installed",
        f"no driver of another branch than {wanted}",
        f'Set gpu_driver_branch to "{version.split(".")[0]}" for this host to keep it. To move to branch {wanted}, '
        "drain the node, remove what is installed (apt-get purge, its packages are held), reboot, and run again.",
    )


def repository(seen: Seen, ask: Ask) -> list[Check]:
    """Whether the branch is where the packages are to come from."""
    name, branch = "gpu_driver.branch_is_published", seen.wanted.branch
    if seen.packages is None:
        return []
    if not seen.lacking:
        return [ok(name, "all packages are installed", f"branch {branch}")]
    try:
        has = ask()
    except GroundworkError as error:
        return [judge(name, False, error.message, f"branch {branch}", error.remedy)]
    missing = has.missing(wanted_of_repository(seen), branch)
    branches = ", ".join(map(str, has.branches)) or "none"
    observed = f"not there: {', '.join(missing)}; branches that are there: {branches}"
    return [
        judge(name, not missing, observed if missing else f"branch {branch} is there", f"branch {branch}", _other(seen))
    ]


def _other(seen: Seen) -> str:
    if "nvlsm" in seen.chosen.companions and seen.chosen.source == "distribution":
        return "Set gpu_driver_source to auto or vendor: NVLink Subnet Manager is in the vendor's repository alone."
    return (
        "Set gpu_driver_branch to one that is there. NVIDIA's repository for a newer release of Debian or Ubuntu has no"
        " older branches (NVIDIA/cuda-repo-management#38); a site's mirror has what was copied."
    )


def fabric(seen: Seen) -> Check:
    """What the host's NVLink fabric asks for."""
    name, has = "gpu_driver.fabric", seen.fabric
    if has.missing_bridges:
        return warning(
            name,
            "GPUs of an NVLink 5 board, and none of the bridges to its NVSwitches on the PCI bus",
            "the bridges, or a virtual machine whose host serves the fabric",
            "On the machine itself look for the ConnectX-7 bridges (lspci -d 15b3:): without them CUDA says error 802.",
        )
    serves = ", ".join([*seen.chosen.exact, *seen.chosen.companions]) or "nothing beside the driver"
    return ok(name, f"{has.seen}: {serves}", "what serves the host's NVLink fabric")
