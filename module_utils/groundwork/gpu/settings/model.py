"""What a GPU's settings are, what they shall be, and the steps between.

Words are those of nvidia-smi: https://docs.nvidia.com/deploy/nvidia-smi/
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.groundwork.gpu.model import Failure, Process

Clocks = tuple[int, ...]
"""The lowest and the highest in MHz that a GPU may run at; empty where it chooses by itself."""
FREE: Clocks = ()


@dataclass(frozen=True)
class Settings:
    """Of a GPU: None is what it does not tell. Of a declaration: None is left alone.

    power_limit_watts     as set; the GPU may hold itself to less for other reasons
    locked_graphics_clocks_mhz   that it is locked to, as far as we set them: NVML does not tell (locks.py)
    compute_mode          default, exclusive_process or prohibited
    ecc                   as it is now; what it is after a reset is Card.ecc_pending
    """

    persistence_mode: bool | None = None
    power_limit_watts: float | None = None
    locked_graphics_clocks_mhz: Clocks | None = None
    locked_memory_clocks_mhz: Clocks | None = None
    compute_mode: str | None = None
    ecc: bool | None = None

    def declared(self) -> dict[str, Any]:
        """What is not None, by its name."""
        return {name: value for name in NAMES if (value := getattr(self, name)) is not None}

    def under(self, other: Settings) -> Settings:
        """These, but what `other` declares goes before."""
        return dataclasses.replace(self, **other.declared())


NAMES = tuple(one.name for one in dataclasses.fields(Settings))
KEPT_BY_THE_CARD = ("ecc",)
"""The rest the driver forgets when it is loaded, or when the last program closes a GPU without persistence mode."""
FORGOTTEN = tuple(name for name in NAMES if name not in KEPT_BY_THE_CARD)


@dataclass(frozen=True)
class Override:
    """Settings of some GPUs: the one of this UUID, or those of this product, as NVML names it, with * and ? in it."""

    settings: Settings
    uuid: str = ""
    product: str = ""

    def __str__(self) -> str:
        """For people."""
        return f"uuid {self.uuid}" if self.uuid else f"product {self.product}"


@dataclass(frozen=True)
class Wanted:
    """Settings of all GPUs of a host, and of some.

    restore  what is declared goes back to the card's own default, whatever value is declared
    """

    settings: Settings = Settings()
    overrides: tuple[Override, ...] = ()
    restore: bool = False


@dataclass(frozen=True)
class Card:
    """A GPU.

    clocks         the memory clocks that it supports, with the graphics clocks of each, in MHz
    architecture   nvmlDeviceArchitecture_t
    processes      all that hold the GPU
    error          why the GPU does not answer; then only its index is known
    """

    index: int
    uuid: str = ""
    name: str = ""
    settings: Settings = Settings()
    ecc_pending: bool | None = None
    ecc_default: bool | None = None
    power_min_watts: float | None = None
    power_max_watts: float | None = None
    power_default_watts: float | None = None
    clocks: tuple[tuple[int, Clocks], ...] = ()
    architecture: int | None = None
    mig_enabled: bool = False
    processes: tuple[Process, ...] = ()
    error: Failure | None = None

    def __str__(self) -> str:
        """For people."""
        return f"GPU {self.index} ({self.uuid}, {self.name})" if self.uuid else f"GPU {self.index}"


@dataclass(frozen=True)
class Change:
    """One setting of a GPU gets a value."""

    setting: str
    value: Any

    def __str__(self) -> str:
        """For people."""
        if self.value == FREE:
            return f"let the GPU choose its {LABELS[self.setting]}"
        return f"set {LABELS[self.setting]} to {spoken(self.setting, self.value)}"


@dataclass(frozen=True)
class Plan:
    """The steps for one GPU, in order; none where it is as declared.

    again  what is as declared by our own account alone: it is set again, since NVML does not tell whether it still is
    """

    card: Card
    wanted: Settings = Settings()
    actions: tuple[Change, ...] = ()
    again: tuple[Change, ...] = field(default=(), repr=False)


LABELS = {
    "persistence_mode": "persistence mode",
    "power_limit_watts": "power limit",
    "locked_graphics_clocks_mhz": "graphics clocks",
    "locked_memory_clocks_mhz": "memory clocks",
    "compute_mode": "compute mode",
    "ecc": "ECC",
}


def spoken(setting: str, value: Any) -> str:
    """A value, for people."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return f"{' to '.join(map(str, dict.fromkeys(value)))} MHz" if value else "free"
    return f"{value:g} W" if setting == "power_limit_watts" else str(value)


def text(cards: Iterable[Card]) -> str:
    """The settings of GPUs, for a diff."""
    return "".join(f"{line}\n" for card in cards if not card.error for line in _lines(card))


def to_dict(card: Card) -> dict[str, Any]:
    """The shape that module nvidia_gpu_settings returns."""
    settings: Mapping[str, Any] = dataclasses.asdict(card.settings)
    return {
        "index": card.index,
        "uuid": card.uuid,
        "name": card.name,
        **{name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()},
        "ecc_pending": card.ecc_pending,
    }


def _lines(card: Card) -> list[str]:
    told = [f"  {LABELS[name]}: {spoken(name, value)}" for name, value in card.settings.declared().items()]
    if card.ecc_pending not in (None, card.settings.ecc):
        told[-1] += f", {spoken('ecc', card.ecc_pending)} after a reset"
    return [f"{card}:", *told]
