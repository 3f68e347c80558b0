"""GPUs for tests of MIG: profiles and placements as published `nvidia-smi mig -lgip` and `-lgipp` outputs show them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ansible.module_utils.groundwork.gpu.mig.model import (
    MIG_DISABLED,
    MIG_ENABLED,
    Action,
    Card,
    Create,
    Destroy,
    Instance,
    Placement,
    Profile,
    SetMode,
)
from ansible.module_utils.groundwork.gpu.model import Process


def profile(number: int, name: str, count: int, size: int, starts: Iterable[int]) -> Profile:
    return Profile(number, name, int(name[0]), count, tuple(Placement(start, size) for start in starts))


H100 = (
    profile(19, "1g.10gb", 7, 1, range(7)),
    profile(20, "1g.10gb+me", 1, 1, range(7)),
    profile(15, "1g.20gb", 4, 2, (0, 2, 4, 6)),
    profile(14, "2g.20gb", 3, 2, (0, 2, 4)),
    profile(9, "3g.40gb", 2, 4, (0, 4)),
    profile(5, "4g.40gb", 1, 4, (0,)),
    profile(0, "7g.80gb", 1, 8, (0,)),
)
A30 = (
    profile(14, "1g.6gb", 4, 1, range(4)),
    profile(21, "1g.6gb+me", 1, 1, range(4)),
    profile(5, "2g.12gb", 2, 2, (0, 2)),
    profile(0, "4g.24gb", 1, 4, (0,)),
)


def card(mode: str | None = MIG_DISABLED, **fields: Any) -> Card:
    """An H100, whole and idle unless told."""
    told = {"profiles": H100 if mode else (), "mode_pending": mode, "device_id": "0x233010DE", "index": 0, **fields}
    return Card(uuid=f"GPU-{told['index']}", name="NVIDIA H100 80GB HBM3", mode_current=mode, **told)


def instance(name: str, start: int, number: int | None = None, **fields: Any) -> Instance:
    found = next(profile for profile in (*H100, *A30) if profile.name == name)
    place = next(place for place in found.placements if place.start == start)
    given = start + 10 if number is None else number
    return Instance(name, place, given, f"MIG-{name}-{start}", **fields)


def cut(*instances: Instance, **fields: Any) -> Card:
    """An H100 with instances."""
    return card(MIG_ENABLED, instances=instances, **fields)


def process(number: int | None = None, pid: int = 4711) -> Process:
    """One that computes on a GPU instance, or on a whole GPU."""
    return Process(pid, "compute", "python3", 512, number, 0 if number is not None else None)


def taken(found: Card, actions: Iterable[Action]) -> Card:
    """The GPU after steps, each of which fails as a driver would let it fail."""
    numbers = iter(range(100, 200))
    for action in actions:
        if isinstance(action, SetMode):
            mode = MIG_ENABLED if action.enabled else MIG_DISABLED
            assert mode == found.mode_current or not found.instances, "instances are in the way of a change of mode"
            found = dataclasses.replace(found, mode_current=mode, mode_pending=mode)
        elif isinstance(action, Destroy):
            assert found.mode_current == MIG_ENABLED
            assert action.instance in found.instances
            left = tuple(one for one in found.instances if one != action.instance)
            found = dataclasses.replace(found, instances=left)
        else:
            found = _created(found, action, next(numbers))
    return found


def _created(found: Card, action: Create, number: int) -> Card:
    assert found.mode_current == MIG_ENABLED
    assert action.profile in found.profiles
    assert action.placement in action.profile.placements
    assert not any(action.placement.overlaps(one.placement) for one in found.instances), "insufficient resources"
    assert Counter(one.profile for one in found.instances)[action.profile.name] < action.profile.max_count
    made = Instance(action.profile.name, action.placement, number, f"MIG-{number}")
    return dataclasses.replace(found, instances=(*found.instances, made))
