"""The loaded kernel module, as /proc/driver/nvidia/version tells. It answers where NVML refuses."""

from __future__ import annotations

import re
from pathlib import Path

VERSION = re.compile(r"^NVRM version: .*?Kernel Module(?: for \S+)?\s+(?P<version>\d+(?:\.\d+)+)", re.MULTILINE)


def module_version(text: str) -> tuple[str | None, bool | None]:
    """Version and whether these are the open kernel modules; None for both where the text says neither.

    >>> module_version("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.126.09  Release Build")
    ('580.126.09', True)
    """
    match = VERSION.search(text)
    return (match["version"], "Open Kernel Module" in match[0]) if match else (None, None)


def observe(proc: Path = Path("/proc")) -> tuple[str | None, bool | None]:
    """The same of this host; None for both where no module is loaded."""
    try:
        return module_version((proc / "driver/nvidia/version").read_text(encoding="utf-8"))
    except OSError:
        return None, None
