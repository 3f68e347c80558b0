"""Debian's packages without an installation: unpacked, for images and containers that run one program."""

from __future__ import annotations

from pathlib import Path

from lab.rootfs import sources
from lab.run import run

CODENAME = "bookworm"
PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
"""Each release's Python."""


def unpack(packages: tuple[str, ...], target: Path, codename: str = CODENAME) -> None:
    """Unpack packages and what they depend on, maintainer scripts not run; into an archive if it is called .tar."""
    without = [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("doc", "man", "info", "locale")]
    run(
        [
            "mmdebstrap",
            "--quiet",
            "--variant=extract",
            *without,
            f"--include={','.join(packages)}",
            codename,
            target,
            *sources(codename),
        ],
        environment={"SOURCE_DATE_EPOCH": "0"},  # no times of this run: the same packages, the same archive
        timeout=600,
    )
