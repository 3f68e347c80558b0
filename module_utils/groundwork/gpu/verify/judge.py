"""All verdicts on a host's GPUs, and whether what is declared of them can be true."""

from __future__ import annotations

from collections.abc import Callable

from ansible.module_utils.groundwork import check
from ansible.module_utils.groundwork.check import Check
from ansible.module_utils.groundwork.gpu.verify import cards, hosts
from ansible.module_utils.groundwork.gpu.verify.observe import State
from ansible.module_utils.groundwork.gpu.verify.remedies import REMEDIES
from ansible.module_utils.groundwork.gpu.verify.wanted import PREFIX, Wanted

CHECKS: tuple[Callable[[Wanted, State], Check | None], ...] = (
    hosts.gpus_answer,
    hosts.count,
    cards.product,
    cards.memory,
    hosts.driver_branch,
    hosts.driver_matches_library,
    hosts.device_nodes,
    hosts.cuda,
    cards.ecc_uncorrected,
    cards.row_remap,
    cards.retired_pages,
    hosts.xid,
    cards.throttling,
    cards.pcie_generation,
    cards.pcie_width,
    cards.nvlinks,
    cards.persistence,
    hosts.mig_layout,
    cards.fabric,
)
"""In the order in which people look: is it there, is it what it should be, does it work, is it well."""


def judge(wanted: Wanted, state: State) -> list[Check]:
    """Every verdict that is asked for."""
    left_out = {f"{PREFIX}.{name}" for name in wanted.ignored}
    verdicts = (each(wanted, state) for each in CHECKS)
    return [verdict for verdict in verdicts if verdict and verdict.name not in left_out]


def declaration(wanted: Wanted, state: State) -> Check:
    """Whether what is declared can be true of the GPUs that there are; seen before anything is changed."""
    name, gpus = f"{PREFIX}.declaration", state.host.gpus
    if not state.host.nvml.available:
        return check.skipped(name, f"seen once the driver answers; now: {state.host.nvml.reason}")
    products = sorted({gpu.name for gpu in gpus if gpu.name})
    here = ", ".join(products) or "no GPU that tells its name"
    faults = [
        f"{pattern} is no GPU of this host"
        for pattern in wanted.products
        if products and not any(cards.is_a(product, pattern) for product in products)
    ]
    without = [state.title(gpu) for gpu in gpus if not (gpu.error or gpu.nvlinks or cards.is_cut(gpu))]
    if wanted.nvlinks and without:
        faults.append(f"{wanted.nvlinks} NVLinks are declared, and {', '.join(without)} cannot have any")
    observed = "; ".join(faults) or f"it fits {here}"
    return check.judge(name, not faults, observed, f"what can be true of {here}", REMEDIES["declaration"])
