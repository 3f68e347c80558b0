"""Whether the driver on a host is what was installed, stays so, and has its daemons. GPUs are judged elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible.module_utils.groundwork.check import Check, judge, skipped, warning
from ansible.module_utils.groundwork.command import Run
from ansible.module_utils.groundwork.gpu.driver import Seen, to_hold

COMMAND_SECONDS = 30.0
PERSISTENCE = "nvidia-persistenced.service"
RELOAD = (
    "Drain the node and run playbooks/gpu.yml: it reboots the host, and the kernel loads the module that is installed."
)


def check(seen: Seen, units: Mapping[str, str]) -> list[Check]:
    """All verdicts; `units` holds by its name what systemd says of a unit: active, inactive, failed."""
    return [
        installed_is_loaded(seen),
        kernel_modules(seen),
        held(seen),
        next_boot(seen),
        persistence(units),
        fabric(seen, units),
    ]


def states(run: Run, names: Sequence[str]) -> dict[str, str]:
    """What `systemctl is-active` says of units, in their order; inactive where there is none of that name."""
    said = run(["systemctl", "is-active", *names], COMMAND_SECONDS).stdout.split()
    return dict(zip(names, said, strict=False))


def installed_is_loaded(seen: Seen) -> Check:
    """An upgrade behind a running driver's back: programs that start now fail, those that run go on."""
    host = seen.host
    versions = {"loaded": host.loaded_version, "installed": host.installed_version, "library": host.library_version}
    found = [version for version in versions.values() if version]
    return judge(
        "gpu_driver.installed_is_loaded",
        len(set(found)) == 1 and host.loaded_version is not None,
        ", ".join(f"{name} {version or 'none'}" for name, version in versions.items()),
        "one version in the kernel, on disk and of the library",
        RELOAD
        if host.loaded_version
        else "Run playbooks/gpu.yml, and read the kernel's log where the module does not load.",
    )


def kernel_modules(seen: Seen) -> Check:
    """Open or proprietary, as chosen for the host's GPUs."""
    name, is_open = "gpu_driver.kernel_modules", seen.host.loaded_is_open
    if is_open is None:
        return skipped(name, "no module is loaded")
    loaded = "open" if is_open else "proprietary"
    return judge(name, loaded == seen.chosen.modules, f"{loaded} modules", f"{seen.chosen.modules} modules", RELOAD)


def held(seen: Seen) -> Check:
    """What is not held is upgraded by whoever runs `apt upgrade`."""
    names = to_hold(seen.host, seen.chosen)
    loose = [name for name in names if not seen.host.packages[name].held]
    observed = f"not held: {', '.join(loose)}" if loose else f"{len(names)} packages are held"
    return judge("gpu_driver.packages_are_held", not loose, observed, "held", "Run playbooks/gpu.yml; it holds them.")


def next_boot(seen: Seen) -> Check:
    """The next boot takes the newest kernel, and there is no GPU under one without the module."""
    name, missing = "gpu_driver.next_boot_has_the_module", seen.host.kernels_without_module
    if not missing:
        return judge(name, True, "the newest kernel has the module", "the module for the newest kernel", "")
    return warning(
        name,
        f"no NVIDIA module for {', '.join(missing)}, which the next boot may take",
        "the module for the newest kernel",
        "Install its headers and run dkms autoinstall -k KERNEL, or on Ubuntu install its linux-modules-nvidia-*.",
    )


def persistence(units: Mapping[str, str]) -> Check:
    """Without it the driver forgets a GPU's state when the last program closes it."""
    state = units.get(PERSISTENCE, "inactive")
    remedy = f"Run playbooks/gpu.yml; if it stays so, read journalctl -u {PERSISTENCE}."
    return judge("gpu_driver.persistence_daemon", state == "active", f"{PERSISTENCE} is {state}", "active", remedy)


def fabric(seen: Seen, units: Mapping[str, str]) -> Check:
    """The service that sets the fabric up runs, and is of the driver's very version: else CUDA says error 802."""
    name, chosen = "gpu_driver.fabric_service", seen.chosen
    if not chosen.services:
        return skipped(name, seen.fabric.seen)
    version = seen.host.loaded_version or ""
    faults = [f"{unit} is {units.get(unit, 'inactive')}" for unit in chosen.services if units.get(unit) != "active"]
    faults += [
        f"{package} is {found.version if (found := seen.host.packages.get(package)) else 'not installed'}"
        for package in chosen.exact
        if not seen.host.has(package, version)
    ]
    return judge(
        name,
        not faults,
        "; ".join(faults) or f"{', '.join(chosen.services)} of {version}",
        f"{', '.join(chosen.services)}, active, of exactly the driver's version {version}",
        "Run playbooks/gpu.yml; if it stays so, read the unit's journal and /var/log/fabricmanager.log.",
    )
