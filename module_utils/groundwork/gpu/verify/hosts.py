"""Verdicts on a host: are its GPUs all there, does its driver work for programs, what did the kernel report."""

from __future__ import annotations

from ansible.module_utils.groundwork import check
from ansible.module_utils.groundwork.check import Check
from ansible.module_utils.groundwork.gpu.verify import cuda as cuda_codes
from ansible.module_utils.groundwork.gpu.verify import xid as xids
from ansible.module_utils.groundwork.gpu.verify.cards import is_cut
from ansible.module_utils.groundwork.gpu.verify.observe import State
from ansible.module_utils.groundwork.gpu.verify.remedies import REMEDIES
from ansible.module_utils.groundwork.gpu.verify.wanted import PREFIX, Wanted

MISMATCH = "LibRmVersionMismatch"
PASSED_ON = "vfio-pci"
"""The driver of a GPU that a virtual machine has: this host's own is not to see it."""


def gpus_answer(_: Wanted, state: State) -> Check:
    """Whether every GPU that is plugged in, and not passed on, answers NVML in full."""
    host = state.host
    plugged = [one.bus_id for one in host.pci_devices if one.kind == "gpu" and one.driver != PASSED_ON]
    wanted = f"the {len(plugged)} GPUs on the PCI bus answer"
    if not host.nvml.available:
        reason, remedy = str(host.nvml.reason), host.nvml.remedy or REMEDIES["gpus_answer"]
        return check.failed(f"{PREFIX}.gpus_answer", reason, wanted, remedy)
    told = {gpu.pci.bus_id for gpu in host.gpus if gpu.pci}
    strangers = [place for place in plugged if place not in told] if len(host.gpus) < len(plugged) else []
    errors = [(gpu, gpu.error) for gpu in host.gpus if gpu.error]
    faults = [f"{state.title(gpu)}: {error.message}" for gpu, error in errors]
    faults += [f"the GPU at {place} is not among those of the driver" for place in strangers]
    remedy = next((error.remedy for _, error in errors), REMEDIES["gpus_answer"])
    observed = "; ".join(faults) or f"{len(host.gpus)} GPUs"
    return check.judge(f"{PREFIX}.gpus_answer", not faults, observed, wanted, remedy)


def count(wanted: Wanted, state: State) -> Check | None:
    """Whether as many GPUs answer as are declared."""
    if wanted.count is None:
        return None
    answering = sum(gpu.error is None for gpu in state.host.gpus)
    plugged = sum(device.kind == "gpu" for device in state.host.pci_devices)
    silent = "".join(f"; {state.title(gpu)} does not answer" for gpu in state.host.gpus if gpu.error)
    observed = f"{answering} GPUs answer, {plugged} on the PCI bus{silent}"
    passed = answering == wanted.count
    return check.judge(f"{PREFIX}.count", passed, observed, f"{wanted.count} GPUs", REMEDIES["count"])


def driver_branch(wanted: Wanted, state: State) -> Check | None:
    """Whether the driver is of the declared branch; the loaded module tells where NVML does not."""
    if not wanted.driver_branch:
        return None
    version = state.host.driver.version or state.host.driver.kernel_module_version or "none"
    passed, branch = version.split(".")[0] == wanted.driver_branch, f"branch {wanted.driver_branch}"
    return check.judge(f"{PREFIX}.driver_branch", passed, f"driver {version}", branch, REMEDIES["driver_branch"])


def driver_matches_library(_: Wanted, state: State) -> Check:
    """Whether NVML's library and the loaded kernel module are of one version."""
    name, wanted = f"{PREFIX}.driver_matches_library", "library and loaded kernel module are of one version"
    library, module = state.host.driver.version, state.host.driver.kernel_module_version
    remedy = REMEDIES["driver_matches_library"]
    if state.host.nvml.code == MISMATCH:
        return check.failed(
            name, f"NVML's library is of another version than the loaded module {module}", wanted, remedy
        )
    if library is None or module is None:
        return check.skipped(name, f"library {library or 'unknown'}, module {module or 'unknown'}")
    return check.judge(name, library == module, f"library {library}, module {module}", wanted, remedy)


def device_nodes(_: Wanted, state: State) -> Check:
    """Whether the device nodes that programs open are there, as the driver wants them."""
    name, wanted = f"{PREFIX}.device_nodes", "every device node is there, with its numbers and mode"
    if state.driver is None:
        return check.skipped(name, "no driver is loaded")
    faults = [place.fault for place in state.driver.places if place.fault]
    observed = "; ".join(faults) or f"{len(state.driver.places)} nodes"
    return check.judge(name, not faults, observed, wanted, REMEDIES["device_nodes"])


def cuda(_: Wanted, state: State) -> Check:
    """Whether CUDA starts and has a device."""
    name, found, gpus = f"{PREFIX}.cuda", state.cuda, state.host.gpus
    empty = bool(gpus) and all(is_cut(gpu) and gpu.mig and not gpu.mig.devices for gpu in gpus)
    if found.code == cuda_codes.NO_DEVICE and empty:
        return check.skipped(name, "every GPU is in MIG mode without any instance, so that there is no device")
    observed = found.reason or f"cuInit works, {found.devices} devices"
    passed, remedy = found.code == 0 and found.devices > 0, found.remedy or cuda_codes.DMESG
    return check.judge(name, passed, observed, "cuInit works and counts a device", remedy)


def xid(_: Wanted, state: State) -> Check:
    """Whether the driver reported something of a GPU, since boot, that is not a program's own doing."""
    name, wanted = f"{PREFIX}.xid", "no Xid since boot that is not a program's own"
    if state.log.unread:
        return check.skipped(name, state.log.unread)
    broken, look, own = (_told(state, kind) for kind in ("broken", "look", "program"))
    if broken:
        numbers = [one.number for one in state.log.xids if xids.kind(one.number) == "broken"]
        return check.failed(name, "; ".join(broken + look), wanted, " ".join(dict.fromkeys(map(xids.remedy, numbers))))
    if look:
        return check.warning(name, "; ".join(look), wanted, xids.UNKNOWN)
    return check.ok(name, f"of programs alone: {'; '.join(own)}" if own else "none", wanted)


def _told(state: State, kind: str) -> list[str]:
    titles = state.titles()
    return [f"{titles.get(one.place, one.place)}: {one}" for one in state.log.xids if xids.kind(one.number) == kind]


def mig_layout(wanted: Wanted, state: State) -> Check | None:
    """Whether the GPUs are cut as the declared layout has it."""
    if not wanted.mig_layout:
        return None
    name, found = f"{PREFIX}.mig_layout", state.layout
    if found is None:
        return check.skipped(name, "not every GPU answers")
    far = f"{len(found.steps)} steps away from it: {'; '.join(found.steps)}" if found.steps else ""
    fault, remedy = found.reason or far, found.remedy or REMEDIES["mig_layout"]
    return check.judge(name, not fault, fault or "as declared", f"layout {wanted.mig_layout}", remedy)
