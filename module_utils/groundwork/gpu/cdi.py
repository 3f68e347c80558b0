"""Whether the CDI specification says what there is. Containers get their GPUs by it.

It names devices and the driver's files, as they were when it was written. After a MIG change some of its devices are
gone, and those that came are not in it. After a new driver version its files are gone, and every new container with a
GPU fails to start ("lstat …/libcuda.so.580.95.05: no such file").

https://github.com/cncf-tags/container-device-interface, SPEC.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.groundwork.check import Check, judge, skipped

NAME = "container_toolkit.cdi_is_current"
SPECIFICATION = Path("/var/run/cdi/nvidia.yaml")
KIND = "nvidia.com/gpu"
DEVICE = re.compile(r"^\s*-?\s*name:\s*[\"']?((?:GPU|MIG)-[0-9A-Za-z-]+)", re.MULTILINE)
FILE = re.compile(r"^\s*-?\s*hostPath:\s*[\"']?(/[^\"'\s]+)", re.MULTILINE)


@dataclass(frozen=True)
class Specification:
    """What a specification names: devices by UUID, and files of the host."""

    devices: frozenset[str]
    files: tuple[str, ...]


def parse(text: str) -> Specification:
    """Read as lines: hosts have no YAML library outside of our virtual environment."""
    return Specification(frozenset(DEVICE.findall(text)), tuple(sorted(set(FILE.findall(text)))))


def observe(path: Path = SPECIFICATION) -> Specification | None:
    """The host's specification; None where it was never written."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def check(found: Specification | None, offered: Sequence[str], root: Path = Path("/")) -> Check:
    """The verdict, given the UUIDs of the devices that NVML offers now."""
    if not offered and found is None:
        return skipped(NAME, "NVML offers no device")
    faults = [f"{SPECIFICATION} is not there"] if found is None else _faults(found, offered, root)
    return judge(
        NAME,
        not faults,
        "; ".join(faults) or f"{len(offered)} devices, and the driver's files as they are",
        "every device that NVML offers, and the files of the driver that is installed",
        "Write it anew on the host: systemctl restart nvidia-cdi-refresh.service; if that fails, read its journal.",
    )


def _faults(found: Specification, offered: Iterable[str], root: Path) -> list[str]:
    missing = sorted(set(offered) - found.devices)
    gone = sorted(one for one in found.devices - set(offered) if one.startswith("MIG-"))  # a lost GPU is NVML's matter
    files = [path for path in found.files if not (root / path.lstrip("/")).exists()]
    lists = {"not in it": missing, "in it, and gone": gone, "files that are gone": files}
    return [f"{words}: {', '.join(names)}" for words, names in lists.items() if names]
