"""What a host's GPUs are declared to be. What is not declared is not judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ansible.module_utils.groundwork.errors import GroundworkError

PREFIX = "nvidia_gpu"
HEALTH = (
    "gpus_answer",
    "driver_matches_library",
    "device_nodes",
    "cuda",
    "ecc_uncorrected",
    "row_remap",
    "retired_pages",
    "xid",
    "throttling",
    "fabric",
)
"""Checks that need no declaration: no GPU is meant to be ill. They can be named to be left out."""
WIDTHS = (1, 2, 4, 8, 16, 32)
REMEDY = "Correct the variables of role gpu_health; its README says what each may be."


@dataclass(frozen=True)
class Wanted:
    """The declaration; None and empty mean that nothing is said.

    count              GPUs that answer
    products           patterns such as *H100*, of which each GPU's name shall match one
    memory_mib         of each GPU, at least
    driver_branch      such as 580
    pcie_generation    of each GPU's link, at least; pcie_width: lanes, at least
    nvlinks            active links of each GPU, at least
    persistence        whether persistence mode is on
    retired_pages_max  of each GPU, on those that count them
    mig_layout         the layout's name, with mig_config as nvidia_mig takes them
    ignored            names out of HEALTH that are not judged
    """

    count: int | None = None
    products: tuple[str, ...] = ()
    memory_mib: int | None = None
    driver_branch: str = ""
    pcie_generation: int | None = None
    pcie_width: int | None = None
    nvlinks: int | None = None
    persistence: bool | None = None
    retired_pages_max: int | None = None
    mig_layout: str = ""
    mig_config: Mapping[str, Any] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()


def declare(given: Mapping[str, Any]) -> Wanted:
    """The declaration out of a module's options; others among them are passed over.

    Raises GroundworkError with everything that cannot be meant.
    """
    known = {each.name for each in fields(Wanted)}
    chosen = {name: value for name, value in given.items() if name in known and value is not None}
    faults = [*_numbers(chosen), *_names(chosen)]
    if faults:
        raise GroundworkError("; ".join(faults), REMEDY)
    lists = {"products": tuple(chosen.get("products", ())), "ignored": frozenset(chosen.get("ignored", ()))}
    return Wanted(**{**chosen, **lists})


def _numbers(chosen: Mapping[str, Any]) -> Iterable[str]:
    for name in ("count", "nvlinks", "retired_pages_max"):
        if chosen.get(name, 0) < 0:
            yield f"{name} is {chosen[name]}, and cannot be less than 0"
    for name in ("memory_mib", "pcie_generation"):
        if chosen.get(name, 1) < 1:
            yield f"{name} is {chosen[name]}, and cannot be less than 1"
    if chosen.get("pcie_width", 1) not in WIDTHS:
        yield f"pcie_width is {chosen['pcie_width']}, and a link has {', '.join(map(str, WIDTHS))} lanes"


def _names(chosen: Mapping[str, Any]) -> Iterable[str]:
    products = list(chosen.get("products", ()))
    if any(not pattern.strip() for pattern in products):
        yield "products has an empty name, which no GPU has"
    yield from (
        f"products names {name} twice" for name in sorted({name for name in products if products.count(name) > 1})
    )
    unknown = sorted(set(chosen.get("ignored", ())) - set(HEALTH))
    if unknown:
        yield f"ignored has {', '.join(unknown)}; what can be left out is {', '.join(HEALTH)}"
    branch = chosen.get("driver_branch", "")
    if branch and not branch.isdigit():
        yield f"driver_branch is {branch}; a branch is a number such as 580"
