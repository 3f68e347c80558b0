"""Debian's packages without an installation: unpacked, for images and containers that run one program."""

from __future__ import annotations

from pathlib import Path

from lab.errors import LabError
from lab.run import run

SUITE = "bookworm"


def archive() -> str:
    """The Debian archive that this machine's own apt uses.

    Raises:
        LabError: apt knows of none.
    """
    fields = "$(ORIGIN) $(LABEL) $(REPO_URI)"
    for line in run(["apt-get", "indextargets", "--format", fields, "Created-By: Packages"]).splitlines():
        origin, label, address = line.split(" ", 2)
        if origin == label == "Debian":  # Debian's security archive is labelled Debian-Security
            return address
    raise LabError("apt on this machine knows no Debian archive", "add Debian's archive to /etc/apt/sources.list, then run apt-get update")


def unpack(packages: tuple[str, ...], target: Path) -> None:
    """Unpack packages and what they depend on, maintainer scripts not run; a target that ends in .tar becomes an archive."""
    # What they contain is the same for the same packages; without the date files would differ in their times
    run(
        ["mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(packages)}", SUITE, target, archive()],
        environment={"SOURCE_DATE_EPOCH": "0"},
    )
