"""Verdicts on each GPU: a check names those that are at fault by index and UUID, and is None where nothing is declared.

Bits of clocks: nvmlClocksEventReasons, https://docs.nvidia.com/deploy/nvml-api/group__nvmlClocksEventReasons.html.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable

from ansible.module_utils.groundwork import check
from ansible.module_utils.groundwork.check import Check
from ansible.module_utils.groundwork.gpu.model import Gpu
from ansible.module_utils.groundwork.gpu.verify.observe import State
from ansible.module_utils.groundwork.gpu.verify.remedies import REMEDIES
from ansible.module_utils.groundwork.gpu.verify.wanted import PREFIX, Wanted

Fault = Callable[[Gpu], "str | None"]
"""What is wrong with one GPU, in words."""

THROTTLED = {
    0x08: "slowed down by hardware",
    0x20: "slowed down by the driver, too hot",
    0x40: "slowed down by hardware, too hot",
    0x80: "slowed down by the power brake",
}
"""Idle clocks, clocks that were set and the everyday power limit are no fault."""
FASTEST = 0
"""P0. In the others a GPU saves power, on its PCIe link too (nvidia-smi's manual, pcie.link.gen.current)."""


def product(wanted: Wanted, state: State) -> Check | None:
    """Whether each GPU is of a declared product."""

    def fault(gpu: Gpu) -> str | None:
        known = gpu.name is None or any(is_a(gpu.name, pattern) for pattern in wanted.products)
        return None if known else f"is a {gpu.name}"

    return _judge("product", bool(wanted.products), state, fault, " or ".join(wanted.products))


def memory(wanted: Wanted, state: State) -> Check | None:
    """Whether each GPU has the declared memory."""
    least = wanted.memory_mib or 0

    def fault(gpu: Gpu) -> str | None:
        return f"has {gpu.memory.total_mib} MiB" if gpu.memory and gpu.memory.total_mib < least else None

    return _judge("memory", bool(least), state, fault, f"{least} MiB or more")


def ecc_uncorrected(_: Wanted, state: State) -> Check | None:
    """Whether memory had errors, since the driver was loaded, that ECC could not correct."""

    def fault(gpu: Gpu) -> str | None:
        errors = gpu.ecc.uncorrected_volatile if gpu.ecc else None
        return f"{errors} uncorrected errors" if errors else None

    return _judge("ecc_uncorrected", True, state, fault, "no uncorrected error since the driver was loaded")


def row_remap(_: Wanted, state: State) -> Check | None:
    """Whether rows of memory wait to be remapped, or could not be."""

    def fault(gpu: Gpu) -> str | None:
        if gpu.ecc and gpu.ecc.remapping_failed:
            return "a row could not be remapped"
        return "a row waits to be remapped" if gpu.ecc and gpu.ecc.remapping_pending else None

    return _judge("row_remap", True, state, fault, "no row waits to be remapped, none failed to be")


def retired_pages(wanted: Wanted, state: State) -> Check | None:
    """Whether pages wait to be retired, or more are than is declared; None where GPUs remap rows instead."""
    most = wanted.retired_pages_max
    told = [gpu.retired_pages for gpu in state.host.gpus if gpu.retired_pages]

    def fault(gpu: Gpu) -> str | None:
        if gpu.retired_pages and gpu.retired_pages.pending:
            return "a page waits to be retired"
        pages = retired(gpu)
        return f"{pages} retired pages" if most is not None and pages > most else None

    limit = "" if most is None else f", {most} at most are retired"
    there = not state.host.nvml.available or any(pages.pending is not None for pages in told)
    return _judge("retired_pages", there, state, fault, f"no page waits to be retired{limit}")


def throttling(_: Wanted, state: State) -> Check | None:
    """Whether heat or a lack of power holds clocks down at the moment."""

    def fault(gpu: Gpu) -> str | None:
        bits = (gpu.clocks.event_reasons if gpu.clocks else None) or 0
        reasons = [words for bit, words in THROTTLED.items() if bits & bit]
        celsius = gpu.temperature.gpu_celsius if gpu.temperature else None
        return f"{'; '.join(reasons)} ({celsius} °C)" if reasons else None

    return _judge("throttling", True, state, fault, "neither heat nor power holds clocks down")


def pcie_generation(wanted: Wanted, state: State) -> Check | None:
    """Whether each link is as fast as declared; one that saves power is judged by the fastest that it can be."""
    least = wanted.pcie_generation or 0

    def fault(gpu: Gpu) -> str | None:
        saves = gpu.performance_state not in (FASTEST, None)
        found = (gpu.pci.link_generation_max if saves else gpu.pci.link_generation) if gpu.pci else None
        return f"generation {found}{' at most' if saves else ''}" if found and found < least else None

    return _judge("pcie_generation", bool(least), state, fault, f"generation {least} or newer")


def pcie_width(wanted: Wanted, state: State) -> Check | None:
    """Whether each link has as many lanes as declared."""
    least = wanted.pcie_width or 0

    def fault(gpu: Gpu) -> str | None:
        found = gpu.pci.link_width if gpu.pci else None
        return f"{found} lanes" if found and found < least else None

    return _judge("pcie_width", bool(least), state, fault, f"{least} lanes or more")


def nvlinks(wanted: Wanted, state: State) -> Check | None:
    """Whether each GPU has as many active NVLinks as declared; a GPU that MIG has cut uses none."""
    least = wanted.nvlinks or 0

    def fault(gpu: Gpu) -> str | None:
        links = gpu.nvlinks or ()
        active = sum(link.active for link in links)
        if gpu.error or is_cut(gpu) or active >= least:
            return None
        down = ", ".join(str(link.number) for link in links if not link.active)
        return f"{active} active NVLinks{f', down: {down}' if down else ''}"

    return _judge("nvlinks", wanted.nvlinks is not None, state, fault, f"{least} active NVLinks or more")


def persistence(wanted: Wanted, state: State) -> Check | None:
    """Whether persistence mode is as declared."""
    mode = wanted.persistence

    def fault(gpu: Gpu) -> str | None:
        return f"persistence mode is {_on(gpu.persistence_mode)}" if gpu.persistence_mode not in (mode, None) else None

    return _judge("persistence", mode is not None, state, fault, f"persistence mode is {_on(mode)}")


def fabric(_: Wanted, state: State) -> Check | None:
    """Whether GPUs behind NVSwitches are part of their fabric; None where there is none."""
    there = not state.host.nvml.available or any(gpu.fabric and gpu.fabric.state for gpu in state.host.gpus)
    wanted = "every GPU is registered with its fabric, which finds no fault"
    return _judge("fabric", there, state, _fabric_fault, wanted)


def _fabric_fault(gpu: Gpu) -> str | None:
    if gpu.fabric is None or gpu.fabric.state is None:
        return None
    if gpu.fabric.state != "completed":
        return f"its registration is {gpu.fabric.state.replace('_', ' ')}"
    ended = [f"its registration ended with error {gpu.fabric.status}"] if gpu.fabric.status else []
    return ", ".join([*ended, *(name.replace("_", " ") for name in gpu.fabric.faults)]) or None


def is_a(name: str, pattern: str) -> bool:
    """Whether a product is meant by a pattern; capitals are no matter."""
    return fnmatch.fnmatchcase(name.lower(), pattern.lower())


def is_cut(gpu: Gpu) -> bool:
    """Whether a GPU is in MIG mode."""
    return gpu.mig is not None and gpu.mig.mode_current == "enabled"


def retired(gpu: Gpu) -> int:
    """How many pages are retired, for whatever cause."""
    pages = gpu.retired_pages
    return (pages.single_bit or 0) + (pages.double_bit or 0) if pages else 0


def _judge(name: str, asked: bool, state: State, fault: Fault, wanted: str) -> Check | None:
    """One verdict on all GPUs. What a GPU told is judged, whatever else it refused; None where nobody asks."""
    if not asked:
        return None
    if not state.host.nvml.available or not state.host.gpus:
        return check.skipped(f"{PREFIX}.{name}", state.host.nvml.reason or "there is no GPU")
    found = ((gpu, fault(gpu)) for gpu in state.host.gpus)
    faults = [f"{state.title(gpu)}: {words}" for gpu, words in found if words]
    answering = sum(gpu.error is None for gpu in state.host.gpus)
    observed = "; ".join(faults) or f"{answering} GPUs"
    return check.judge(f"{PREFIX}.{name}", not faults, observed, wanted, REMEDIES[name])


def _on(mode: bool | None) -> str:
    return "on" if mode else "off"
