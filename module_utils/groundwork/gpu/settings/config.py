"""What is declared of settings, read out of plain values. What only a GPU knows is judged in plan.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu.read import COMPUTE_MODES
from ansible.module_utils.groundwork.gpu.settings.model import NAMES, Clocks, Override, Settings, Wanted

CLOCKS = ("locked_graphics_clocks_mhz", "locked_memory_clocks_mhz")
BY = ("uuid", "product")
FORM = "See gpu_settings_by_gpu in the README of role gpu_settings."


def read(given: Mapping[str, Any], restore: bool = False) -> Wanted:
    """What the variables say: a setting by its name, and `by_gpu`, a list of such with `uuid` or `product`.

    Raises GroundworkError where a value cannot be, or a GPU is named twice.
    """
    _refuse_unknown(given, (*NAMES, "by_gpu"), "the declaration")
    overrides = tuple(_override(entry) for entry in given.get("by_gpu") or ())
    for by in BY:
        names = [getattr(one, by).lower() for one in overrides if getattr(one, by)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise GroundworkError(f"gpu_settings_by_gpu names {by} {', '.join(twice)} twice", "Make one entry of them.")
    return Wanted(_settings(given, "gpu_settings"), overrides, restore)


def _override(entry: Mapping[str, Any]) -> Override:
    named = {by: str(entry[by]) for by in BY if entry.get(by)}
    if len(named) != 1:
        raise GroundworkError(f"An entry of gpu_settings_by_gpu needs either uuid or product: {dict(entry)}", FORM)
    ((by, name),) = named.items()
    where = f"gpu_settings_by_gpu, {by} {name}"
    _refuse_unknown(entry, (*NAMES, *BY), where)
    if name.startswith("MIG-"):
        raise GroundworkError(f"{where}: a MIG device has no settings of its own", "Name the GPU that it is part of.")
    settings = _settings(entry, where)
    if not settings.declared():
        raise GroundworkError(f"{where} declares nothing", FORM)
    return Override(settings, **named)


def _settings(given: Mapping[str, Any], where: str) -> Settings:
    power, mode = given.get("power_limit_watts"), given.get("compute_mode") or None
    if power is not None and power <= 0:
        raise GroundworkError(f"{where}: power_limit_watts is {power:g}", "Give watts, or null to leave it alone.")
    if mode is not None and mode not in COMPUTE_MODES.values():
        raise GroundworkError(f"{where}: there is no compute mode {mode}", f"Use {', '.join(COMPUTE_MODES.values())}.")
    return Settings(
        persistence_mode=given.get("persistence_mode"),
        power_limit_watts=None if power is None else round(power * 1000) / 1000,  # as NVML counts
        **{name: _clocks(given.get(name) or (), f"{where}: {name}") for name in CLOCKS},
        compute_mode=mode,
        ecc=given.get("ecc"),
    )


def _clocks(given: Sequence[int], where: str) -> Clocks | None:
    """One clock is the lowest and the highest; none at all is left alone."""
    if not given:
        return None
    low, high = given[0], given[-1]
    if len(given) > 2 or low > high or low <= 0:
        raise GroundworkError(f"{where} is {list(given)}", "Give one clock, or the lowest and the highest, in MHz.")
    return low, high


def _refuse_unknown(given: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise GroundworkError(f"{where} has no setting {', '.join(unknown)}", f"There are {', '.join(known)}.")
