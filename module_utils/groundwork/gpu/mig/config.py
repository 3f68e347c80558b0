"""Layouts by name: nvidia-mig-parted's file, and those that need no file.

The format: https://github.com/NVIDIA/mig-parted, "version: v1". Names without a file are that project's too; how many
instances they mean is NVML's answer for each GPU, so that they fit every one.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.gpu.mig.model import Card, Layout, Profile

VERSION = "v1"
FIELDS = {"device-filter", "devices", "mig-enabled", "mig-devices"}
BUILT_IN = re.compile(r"all-(disabled|enabled|balanced|\d+g\.\d+gb[a-z.-]*)")
PART_OF_AN_INSTANCE = re.compile(r"\d+c\.")
BALANCED = {1: 2, 2: 1, 3: 1}
"""Instances by their compute slices. A GPU of seven slices takes all three kinds, one of four has no third."""
REMEDY = "Correct gpu_mig_config; it has the format of nvidia-mig-parted's configuration file."


@dataclass(frozen=True)
class Rule:
    """One entry of a layout: the GPUs it is for, and what they shall be.

    device_ids  as in a device-filter; empty: GPUs of every model
    devices     indices; None: all
    """

    layout: Layout
    device_ids: frozenset[int] = frozenset()
    devices: frozenset[int] | None = None

    def matches(self, card: Card) -> bool:
        """Whether the rule is for this GPU; one that does not answer is not asked for its model."""
        model = card.error is not None or not self.device_ids or int(card.device_id, 16) in self.device_ids
        return model and (self.devices is None or card.index in self.devices)

    def overlaps(self, other: Rule) -> bool:
        """Whether both claim one GPU on some host, whatever its model: what is wrong without asking a driver."""
        models = self.device_ids == other.device_ids or bool(self.device_ids & other.device_ids)
        every = self.devices is None or other.devices is None
        return models and (every or bool((self.devices or set()) & (other.devices or set())))


@dataclass(frozen=True)
class Selected:
    """A layout that was chosen: its name, and its rules where a file has it."""

    name: str
    rules: tuple[Rule, ...] = ()

    def wants_mig(self, card: Card) -> bool:
        """Whether it would have MIG enabled on this GPU; all-disabled suits one that cannot be partitioned."""
        rules = self.rules or (Rule(_built_in(self.name, card)),)
        return any(rule.layout.enabled for rule in rules if rule.matches(card))

    def layout(self, card: Card) -> Layout | None:
        """What this GPU shall be; None where it is left alone.

        Raises GroundworkError where two rules claim it, or the GPU has no such profile.
        """
        rules = self.rules or (Rule(_built_in(self.name, card)),)
        found = [rule for rule in rules if rule.matches(card)]
        if len(found) > 1 and card.error is None:  # of which model a silent one is, nobody knows
            raise GroundworkError(f"{card}: {len(found)} entries of layout {self.name} claim it", REMEDY)
        every = bool(found) and found[0].devices is None
        # As nvidia-mig-parted has it: a GPU that cannot be partitioned is passed by, unless it is meant by its number.
        cannot = card.error is None and card.mode_current is None
        return None if not found or (cannot and (every or not found[0].layout.enabled)) else found[0].layout


def select(config: Mapping[str, Any], name: str) -> Selected:
    """The layout of that name. A configuration that is not well-formed is refused as a whole.

    Raises GroundworkError with what is wrong, or with the names that there are.
    """
    layouts = _layouts(config)
    if name not in layouts and not BUILT_IN.fullmatch(name):
        known = ", ".join(["all-disabled", "all-enabled", "all-balanced", "all-PROFILE such as all-1g.10gb", *layouts])
        raise GroundworkError(f"There is no MIG layout {name}", f"Choose one of: {known}; or add it to gpu_mig_config.")
    rules = layouts.get(name, ())
    for (first, one), (second, other) in itertools.combinations(enumerate(rules, 1), 2):
        if one.overlaps(other):
            raise GroundworkError(f"MIG layout {name}: entries {first} and {second} name the same GPUs", REMEDY)
    return Selected(name, rules)


def _layouts(config: Mapping[str, Any]) -> dict[str, tuple[Rule, ...]]:
    if not config:
        return {}
    unknown = set(config) - {"version", "mig-configs"}
    if config.get("version") != VERSION or unknown or not isinstance(config.get("mig-configs"), Mapping):
        raise GroundworkError(f"The MIG layouts are not `version: {VERSION}` with `mig-configs`", REMEDY)
    return {str(name): tuple(_rules(str(name), entries)) for name, entries in config["mig-configs"].items()}


def _rules(name: str, entries: Any) -> Iterable[Rule]:
    if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
        raise GroundworkError(f"MIG layout {name} has no list of entries", REMEDY)
    for entry in entries:
        try:
            yield _rule(entry)
        except (ValueError, TypeError) as error:
            raise GroundworkError(f"MIG layout {name}: {error}", REMEDY) from None


def _rule(entry: Any) -> Rule:
    """Raises ValueError or TypeError with what is wrong."""
    if not isinstance(entry, Mapping) or not {"devices", "mig-enabled"} <= set(entry) <= FIELDS:
        raise ValueError(f"an entry has devices and mig-enabled, may have device-filter and mig-devices: {entry}")
    enabled, counts = entry["mig-enabled"], entry.get("mig-devices") or {}
    if not isinstance(enabled, bool) or not isinstance(counts, Mapping) or (counts and not enabled):
        raise ValueError("mig-enabled is true or false, and mig-devices counts by profile, which need it true")
    wanted = tuple((str(profile), _count(profile, count)) for profile, count in counts.items() if count)
    filters = entry.get("device-filter") or []
    device_ids = frozenset(int(text, 16) for text in ([filters] if isinstance(filters, str) else filters))
    return Rule(Layout(enabled, wanted), device_ids, _devices(entry))


def _devices(entry: Mapping[str, Any]) -> frozenset[int] | None:
    devices = entry["devices"]
    if devices == "all":
        return None
    if not isinstance(devices, Sequence) or isinstance(devices, str) or not all(type(one) is int for one in devices):
        raise ValueError(f"devices is all, or a list of the numbers of GPUs, and not {devices}")
    if len(set(devices)) < len(devices):
        raise ValueError(f"devices names a GPU twice: {devices}")
    return frozenset(devices)


def _count(profile: Any, count: Any) -> int:
    if PART_OF_AN_INSTANCE.match(str(profile)):
        raise ValueError(
            f"{profile} is a part of a GPU instance, which Kubernetes' device plugin does not offer; only whole ones "
            "are made here, such as 2g.20gb"
        )
    if type(count) is not int or count < 0:
        raise ValueError(f"{profile} needs a number of instances, and not {count}")
    return count


def _built_in(name: str, card: Card) -> Layout:
    kind = name.removeprefix("all-")
    if kind == "disabled" or card.error or card.mode_current is None:
        return Layout(kind != "disabled")
    if kind == "enabled":
        return Layout(True)
    counts = _balanced(card.profiles) if kind == "balanced" else _all_of(kind, card.profiles)
    if not counts:
        there = ", ".join(profile.name for profile in card.profiles) or "none"
        raise GroundworkError(
            f"{card}: layout {name} does not fit, its profiles are {there}",
            "Choose another with gpu_mig_layout, or declare one in gpu_mig_config, by device-filter for each model.",
        )
    return Layout(True, counts)


def _all_of(kind: str, profiles: Iterable[Profile]) -> tuple[tuple[str, int], ...]:
    """As many of one profile as fit; a name of a layout has a dot where the profile's has a plus."""
    chosen = [profile for profile in profiles if profile.name.replace("+", ".") == kind]
    return tuple((profile.name, min(profile.max_count, len(profile.placements))) for profile in chosen)


def _balanced(profiles: Iterable[Profile]) -> tuple[tuple[str, int], ...]:
    """Of each size the plain profile that fits most often, which is the one with the least memory."""
    plain = [profile for profile in profiles if re.fullmatch(r"\d+g\.\d+gb", profile.name)]
    chosen = {}
    for profile in sorted(plain, key=lambda profile: profile.max_count):
        chosen[profile.slices] = profile
    return tuple((chosen[slices].name, count) for slices, count in BALANCED.items() if slices in chosen)
