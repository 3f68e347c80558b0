"""What measurements say of GPUs: which is wrong, which is slow, beside its siblings and what its kind can do."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.groundwork.burn_in.figures import expected
from ansible.module_utils.groundwork.check import Check, failed, judge, ok, skipped, warning

ACROSS_PODS = "gpu_burn_in.all_reduce_across_pods"
ACROSS_GPUS = "gpu_burn_in.all_reduce_across_gpus"
RATED = ("matrix_bf16", "matrix_fp16", "matrix_tf32", "copy", "to_gpu", "from_gpu")
"""What is compared; how fast patterns are read depends on how much memory was free."""


@dataclass(frozen=True)
class Told:
    """What the pod on one GPU told: the program's answer, or why it could not give one.

    reason   why nothing was measured, as where CUDA cannot be initialised
    problem  why there is no answer at all
    """

    node: str
    gpu: str
    results: tuple[Mapping[str, Any], ...] = ()
    reason: str = ""
    problem: str = ""

    @property
    def place(self) -> str:
        """For people, and for who is to pull it out."""
        return f"{self.gpu} on {self.node}"


@dataclass(frozen=True)
class Row:
    """One measurement beside what its product can do, and what the median of its siblings does; ratios, or None."""

    node: str
    gpu: str
    product: str
    test: str
    unit: str
    best: float | None
    sustained: float | None
    wrong: int
    checked: int
    expected: float | None
    source: str
    to_expected: float | None
    to_siblings: float | None
    note: str


@dataclass(frozen=True)
class Limits:
    """Below which part of its siblings' rate a GPU is slow, and of what its product can do at most."""

    siblings: float
    product: float


def rows(told: Iterable[Told]) -> list[Row]:
    """Every measurement, by node and GPU."""
    found = [(each, result) for each in told for result in each.results]
    return [_row(each, result, _siblings(each, result, found)) for each, result in found]


def checks(told: Sequence[Told], left: Sequence[str], limits: Limits) -> list[Check]:
    """The verdicts on GPUs, each alone.

    left  why GPUs were not tested
    """
    table = rows(told)
    return [
        were_tested(told, left),
        cuda_initialises(told),
        results_are_right(table),
        are_like_their_siblings(table, limits.siblings),
        are_like_their_kind(table, limits.product),
    ]


def were_tested(told: Sequence[Told], left: Sequence[str]) -> Check:
    """GPUs in use are named, and nobody waits for them."""
    name = "gpu_burn_in.all_gpus_were_tested"
    problems = [f"{each.place}: {each.problem}" for each in told if each.problem] + [
        f"{each.place}: {result['test']}, {result['note']}"
        for each in told
        for result in each.results
        if result["best"] is None and not result["wrong"]
    ]
    if problems:
        remedy = "See what the message says; `microk8s kubectl describe node` tells of what a node lacks."
        return failed(name, "; ".join(problems), "a pod on each free GPU answers, and measures all", remedy)
    if left:
        return skipped(name, f"not tested: {'; '.join(left)}")
    return ok(name, f"{len(told)} GPUs") if told else skipped(name, "there is no GPU")


def cuda_initialises(told: Sequence[Told]) -> Check:
    """Skipped where it is nowhere; a GPU that cannot beside others that can is at fault."""
    name = "gpu_burn_in.cuda_initialises"
    answered = [each for each in told if not each.problem]
    without = [each for each in answered if each.reason]
    if not answered:
        return skipped(name, "no GPU was tested")
    if len(without) == len(answered):
        return skipped(name, "; ".join(sorted({each.reason for each in without})))
    return judge(
        name,
        not without,
        "; ".join(f"{each.place}: {each.reason}" for each in without) or f"on {len(answered)} GPUs",
        "CUDA initialises on every GPU",
        "Error 802 is Fabric Manager, which must have the driver's version; else look for Xid lines (dmesg).",
    )


def results_are_right(table: Sequence[Row]) -> Check:
    """A wrong product, copy or pattern is broken hardware until somebody shows otherwise."""
    name = "gpu_burn_in.results_are_right"
    if not table:
        return skipped(name, "nothing was computed")
    wrong = [f"{row.gpu} on {row.node}: {row.test}, {_fault(row)}" for row in table if row.wrong]
    return judge(
        name,
        not wrong,
        "; ".join(wrong) or f"{sum(row.checked for row in table)} results on {len({row.gpu for row in table})} GPUs",
        "every product, copy and pattern is what it should be",
        "Cordon the node, look for ECC errors (nvidia-smi -q) and Xid lines (dmesg), reset the GPU and run again; have "
        "it replaced if it stays.",
    )


def are_like_their_siblings(table: Sequence[Row], limit: float) -> Check:
    """A GPU that is slower than others of its kind here, wherever they are."""
    name = "gpu_burn_in.as_fast_as_its_siblings"
    found = [(row, row.to_siblings) for row in table if row.to_siblings is not None]
    if not found:
        return skipped(name, "no two GPUs of a kind were measured" if table else "nothing was measured")
    slow = [f"{_rate(row)}, {ratio:.2f} of its siblings'" for row, ratio in found if ratio < limit]
    return judge(
        name,
        not slow,
        "; ".join(slow) or _lowest(found),
        f"at least {limit:g} of what the median of the others does",
        "Compare clocks, temperatures, power limits and PCIe links by nvidia-smi -q: one that is slow alone is hot, "
        "badly seated, or at its end.",
    )


def are_like_their_kind(table: Sequence[Row], limit: float) -> Check:
    """All may be slow together: what a product can do at most is published."""
    name = "gpu_burn_in.as_fast_as_its_product"
    found = [(row, row.to_expected) for row in table if row.to_expected is not None]
    wanted = f"at least {limit:g} of what its product can do at most"
    if not found:
        products = ", ".join(sorted({row.product for row in table}))
        return skipped(name, f"no figure was read for {products}" if table else "nothing was measured")
    slow = [f"{_rate(row)}, {ratio:.2f} of {row.expected:g}" for row, ratio in found if ratio < limit]
    remedy = "Look at power limits, clocks and cooling of the host, and at the width and speed of the PCIe link."
    return warning(name, "; ".join(slow), wanted, remedy) if slow else ok(name, _lowest(found), wanted)


def all_reduce(name: str, told: Sequence[Told], not_run: str) -> Check:
    """A sum over several, by gloo across pods or by NCCL across GPUs; `not_run` says why there is none."""
    if not_run:
        return skipped(name, f"not run: {not_run}")
    problems = [
        f"{each.node} {each.gpu}: {each.problem or each.reason}" for each in told if each.problem or each.reason
    ]
    wrong = [
        f"{each.node} {result['gpu']}: {result['wrong']} wrong of {result['checked']}"
        for each in told
        for result in each.results
        if result["wrong"]
    ]
    rates = [result["best"] for each in told for result in each.results if result["best"] is not None]
    return judge(
        name,
        not problems and not wrong and bool(rates),
        "; ".join([*problems, *wrong]) or (f"{len(rates)} take part, {min(rates):.2f} GB/s" if rates else "no answer"),
        "all take part, and have the same right sum",
        "See that pods reach each other (playbooks/verify.yml proves it); of NCCL, the log says which way it took.",
    )


def _row(told: Told, result: Mapping[str, Any], siblings: float | None) -> Row:
    figure, source = expected(str(result["product"]), str(result["test"]))
    best = result["best"]
    return Row(
        told.node,
        told.gpu,
        str(result["product"]),
        str(result["test"]),
        str(result["unit"]),
        best,
        result["sustained"],
        int(result["wrong"]),
        int(result["checked"]),
        figure,
        source,
        _ratio(best, figure),
        _ratio(best, siblings),
        str(result["note"]),
    )


def _ratio(value: float | None, base: float | None) -> float | None:
    return round(value / base, 4) if value is not None and base else None


def _siblings(told: Told, result: Mapping[str, Any], found: Sequence[tuple[Told, Mapping[str, Any]]]) -> float | None:
    """The median rate of other GPUs of the same product at the same test."""
    kind = (result["product"], result["test"])
    rates = [
        other["best"]
        for each, other in found
        if each.gpu != told.gpu and (other["product"], other["test"]) == kind and other["best"] is not None
    ]
    return statistics.median(rates) if rates and result["test"] in RATED else None


def _rate(row: Row) -> str:
    return f"{row.gpu} on {row.node}: {row.test} {row.best:.1f} {row.unit}"


def _lowest(found: Sequence[tuple[Row, float]]) -> str:
    return f"{len(found)} measurements, none below {min(ratio for _, ratio in found):.2f}"


def _fault(row: Row) -> str:
    """How much is wrong, and what else was said of it."""
    if not row.checked:
        return row.note
    return f"{row.wrong} wrong of {row.checked}{f' ({row.note})' if row.note else ''}"
