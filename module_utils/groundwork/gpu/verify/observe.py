"""All that is judged, read from this host: NVML, PCI, the kernel's log, device nodes, CUDA and the MIG layout."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.groundwork.command import Run
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu import observe as gpus
from ansible.module_utils.groundwork.gpu.mig import declare as mig
from ansible.module_utils.groundwork.gpu.model import Gpu
from ansible.module_utils.groundwork.gpu.verify import cuda, nodes, xid
from ansible.module_utils.groundwork.gpu.verify.wanted import Wanted


@dataclass(frozen=True)
class Layout:
    """How far the MIG layout is from the declared one: steps to it, or why there is no way."""

    steps: tuple[str, ...] = ()
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class State:
    """What was found: no `driver` where no module is loaded, no `layout` where none is declared or a GPU is silent."""

    host: gpus.Host
    log: xid.KernelLog = field(default_factory=xid.KernelLog)
    driver: nodes.Driver | None = None
    cuda: cuda.Cuda = field(default_factory=cuda.Cuda)
    layout: Layout | None = None

    def title(self, gpu: Gpu) -> str:
        """A GPU's index, UUID and place; of one that does not answer out of the driver's own list."""
        cards = self.driver.cards if self.driver else ()
        card = cards[gpu.index] if len(cards) == len(self.host.gpus) else None
        uuid = gpu.uuid or (card.uuid if card else None)
        place = (gpu.pci.bus_id if gpu.pci else None) or (card.bus_id if card else None)
        return f"GPU {gpu.index} ({', '.join(filter(None, (uuid, place))) or 'it does not tell its UUID'})"

    def titles(self) -> dict[str, str]:
        """Titles by bus ids without their function, as an Xid names a GPU."""
        cards = self.driver.cards if self.driver else ()
        titles = {card.bus_id: f"a GPU ({card.uuid}, {card.bus_id})" for card in cards}
        if len(cards) == len(self.host.gpus):
            titles |= {card.bus_id: self.title(gpu) for card, gpu in zip(cards, self.host.gpus, strict=True)}
        titles |= {gpu.pci.bus_id: self.title(gpu) for gpu in self.host.gpus if gpu.pci and gpu.pci.bus_id}
        return {bus_id.rsplit(".", 1)[0]: title for bus_id, title in titles.items()}


def observe(wanted: Wanted, timeout_seconds: float, run: Run, library: Any = None) -> State:
    """Observe this host; each part within about `timeout_seconds`.

    library  stands in for pynvml in tests
    """
    host = gpus.observe(timeout_seconds, library)
    silent = not host.nvml.available or any(gpu.error for gpu in host.gpus)
    return State(
        host=host,
        log=xid.read(run, timeout_seconds),
        driver=nodes.observe(),
        cuda=cuda.initialise(timeout_seconds),
        layout=None if silent or not wanted.mig_layout else _layout(wanted, timeout_seconds, library),
    )


def _layout(wanted: Wanted, timeout_seconds: float, library: Any) -> Layout:
    """Whoever uses an instance is no matter: nothing is changed here."""
    try:
        found = mig.declare(wanted.mig_config, wanted.mig_layout, True, timeout_seconds, False, library)
    except GroundworkError as error:
        return Layout(reason=error.message, remedy=error.remedy)
    return Layout(tuple(found["actions"]))
