"""Which clocks we locked GPUs to. NVML sets and resets that, but has no function that tells it.

The account lies on a tmpfs: a reboot, which takes the locks away, takes it too. So does a driver that was loaded anew,
by the number of its module in sysfs, which the kernel gives once. A reset of a GPU alone leaves no trace; that is why
locks are set again at each run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ansible.module_utils.groundwork.gpu.settings.model import FREE, Clocks

ACCOUNT = Path("/run/groundwork/gpu-locked-clocks.json")
MODULE = Path("/sys/module/nvidia")
DOMAINS = ("locked_graphics_clocks_mhz", "locked_memory_clocks_mhz")

Locks = Mapping[str, Mapping[str, Clocks]]
"""By the GPU's UUID, then by the setting's name; what is free is left out."""


def read() -> Locks:
    """What is locked; nothing where there is no account, or one of another driver's time."""
    try:
        told = json.loads(ACCOUNT.read_text(encoding="utf-8"))
        if told["driver"] != _driver():
            return {}
        return {
            uuid: {name: (int(low), int(high)) for name, (low, high) in locks.items() if name in DOMAINS}
            for uuid, locks in told["gpus"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write(locks: Locks) -> None:
    """Keep the account, whole or not at all."""
    ACCOUNT.parent.mkdir(parents=True, exist_ok=True)
    fresh = ACCOUNT.with_name(f".{ACCOUNT.name}.new")
    gpus = {uuid: found for uuid, each in locks.items() if (found := _locked(each))}
    fresh.write_text(json.dumps({"driver": _driver(), "gpus": gpus}) + "\n", encoding="utf-8")
    fresh.chmod(0o644)
    fresh.replace(ACCOUNT)


def _locked(locks: Mapping[str, Clocks]) -> dict[str, Clocks]:
    return {name: clocks for name, clocks in locks.items() if clocks != FREE}


def _driver() -> int:
    """One number for each time that the module was loaded; 0 where sysfs does not have it."""
    try:
        return MODULE.stat().st_ino
    except OSError:
        return 0
