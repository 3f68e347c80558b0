"""Where things are on a host. SNAP_DOUBLE_ROOT moves all of it, for tests that must not touch the machine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

ROOT = Path(os.environ.get("SNAP_DOUBLE_ROOT", "/"))

STATE = ROOT / "var/lib/snapd"
SOCKET = ROOT / "run/snapd.socket"
MOUNTS = ROOT / "snap"
BIN = MOUNTS / "bin"
DATA = ROOT / "var/snap"
UNITS = ROOT / "etc/systemd/system"

# The lab's part. Unpacked snaps are shared among hosts, so that their programs are in memory once; the key that signs
# assertions lies beside them (snapd has Canonical's built in).
SHARED_CONTENTS = ROOT / "usr/lib/lab/snap-contents"
ASSERTION_KEY = SHARED_CONTENTS / "assertion.pub"
SETTINGS = ROOT / "etc/lab/snapd.json"


def setting(name: str) -> Any:
    """A value of /etc/lab/snapd.json: `store`, its address or null; `busy`, a fault, a snap's change in progress."""
    try:
        return json.loads(SETTINGS.read_text()).get(name)
    except FileNotFoundError:
        return None


def mounted(name: str, revision: str) -> Path:
    """Where a snap's contents are."""
    return MOUNTS / name / revision


def data(name: str, revision: str) -> Path:
    """What a revision of a snap keeps."""
    return DATA / name / revision


def common(name: str) -> Path:
    """What all revisions of a snap keep."""
    return DATA / name / "common"
