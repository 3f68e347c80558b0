"""A snap's contents: which file it is, what its meta/snap.yaml says, and how it comes to /snap/NAME/REVISION."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from . import layout, system
from .errors import SnapError
from .state import Snap


def digest_of(file: Path) -> str:
    """SHA3-384 of a snap file, in hexadecimal.

    Raises:
        SnapError: it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha3_384").hexdigest()
    except OSError as error:
        raise SnapError(f'cannot open: "{file}": {(error.strerror or str(error)).lower()}') from None


def directory(digest: str, file: Path | None = None) -> Path:
    """Where the unpacked snap is; the file is unpacked if the lab does not share its contents.

    Raises:
        SnapError: the file is no snap.
    """
    shared, own = layout.SHARED_CONTENTS / digest, layout.STATE / "contents" / digest
    if shared.is_dir():
        return shared
    if not own.is_dir() and file is not None:
        _unpack(file, own)
    return own


def read(digest: str, file: Path, revision: str, asserted: bool, channel: str) -> Snap:
    """What a snap file holds, as it would be installed."""
    meta = _meta(directory(digest, file))
    return Snap(
        name=meta["name"], version=meta["version"], summary=meta["summary"], revision=revision, digest=digest,
        type=meta.get("type", "app"), confinement=meta.get("confinement", "strict"), base=meta.get("base", ""),
        asserted=asserted, channel=channel, apps=meta.get("apps", {}),
    )  # fmt: skip


def _meta(contents: Path) -> dict[str, Any]:
    # The lab's snaps write snap.yaml in YAML's subset JSON, so that hosts need no YAML library.
    try:
        meta: dict[str, Any] = json.loads((contents / "meta/snap.yaml").read_text())
    except (OSError, ValueError) as error:
        raise SnapError(f"cannot read snap file: {error}") from None
    return meta


def _unpack(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    new = to.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    system.run("unsquashfs", "-quiet", "-no-progress", "-dest", str(new), str(file))
    new.rename(to)


def mount(snap: Snap) -> None:
    """Bring the contents to /snap/NAME/REVISION, now and at every boot (snapd mounts the squashfs itself)."""
    where = layout.mounted(snap.name, snap.revision)
    where.mkdir(parents=True, exist_ok=True)
    (layout.UNITS / mount_unit(snap)).write_text(_mount_unit(snap, directory(snap.digest), where))
    system.systemctl("daemon-reload")
    system.systemctl("enable", "--quiet", mount_unit(snap))
    system.systemctl("restart", mount_unit(snap))


def unmount(snap: Snap) -> None:
    """Undo mount()."""
    unit = layout.UNITS / mount_unit(snap)
    if unit.exists():
        system.systemctl("disable", "--quiet", "--now", unit.name)
        unit.unlink()
    where = layout.mounted(snap.name, snap.revision)
    if where.is_dir() and not os.path.ismount(where):
        shutil.rmtree(where, ignore_errors=True)
    shutil.rmtree(layout.STATE / "contents" / snap.digest, ignore_errors=True)


def mount_unit(snap: Snap) -> str:
    """The unit that mounts a snap."""
    escaped = snap.name.replace("-", "\\x2d")
    return f"snap-{escaped}-{snap.revision}.mount"


def _mount_unit(snap: Snap, what: Path, where: Path) -> str:
    return f"""[Unit]
Description=Mount unit for {snap.name}, revision {snap.revision}
Before=snapd.service

[Mount]
What={what}
Where={where}
Type=none
Options=bind,nodev
LazyUnmount=yes

[Install]
WantedBy=multi-user.target
"""
