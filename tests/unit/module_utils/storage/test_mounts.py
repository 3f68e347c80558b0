"""What is mounted where."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.storage import mounts
from ansible.module_utils.groundwork.storage.mounts import Mount

# Of a host whose /srv/shared was mounted twice, and one with a blank in its name.
MOUNTINFO = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
90 22 0:50 / /srv/shared rw,nosuid shared:30 - nfs4 nas:/old rw,vers=4.2
91 90 0:61 / /srv/shared rw,relatime shared:31 - fuse.glusterfs n1:/shared rw,user_id=0
95 22 0:62 / /srv/my\\040data rw - nfs4 nas:/my\\040data rw
"""


@pytest.fixture
def mountinfo(tmp_path: Path) -> Path:
    file = tmp_path / "mountinfo"
    file.write_text(MOUNTINFO)
    return file


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/srv/shared", Mount("fuse.glusterfs", "n1:/shared", "rw,relatime")),
        ("/srv/my data", Mount("nfs4", "nas:/my data", "rw")),
        ("/srv", None),
        ("/srv/shared/folder", None),
    ],
)
def test_what_is_mounted_is_found(mountinfo: Path, path: str, found: Mount | None) -> None:
    assert mounts.find(Path(path), mountinfo) == found


def test_a_folder_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mounts, "_clone", lambda path: os.open(path, os.O_RDONLY))
    with pytest.raises(GroundworkError, match="missing: No such file"):
        mounts.is_protected(tmp_path / "missing")


def test_a_folder_is_protected_where_its_filesystem_can(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mounts, "_clone", lambda path: os.open(path, os.O_RDONLY))
    flags = {"now": 0x80000}

    def ioctl(_folder: int, request: int, value: bytes) -> bytes:
        if request == mounts._SET_FLAGS:
            flags["now"] = int.from_bytes(value, "little")
        return flags["now"].to_bytes(4, "little")

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    point = tmp_path / "point"
    point.mkdir()
    assert mounts.is_protected(point) is False
    mounts.protect(point)
    assert (mounts.is_protected(point), flags["now"]) == (True, 0x80010)
    mounts.protect(point, protected=False)
    assert (mounts.is_protected(point), flags["now"]) == (False, 0x80000)


def test_a_filesystem_without_flags_is_no_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def ioctl(*_: object) -> bytes:
        raise OSError(25, "Inappropriate ioctl for device")

    monkeypatch.setattr(mounts, "_clone", lambda path: os.open(path, os.O_RDONLY))
    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    (tmp_path / "point").mkdir()
    assert mounts.is_protected(tmp_path / "point") is None
    with pytest.raises(GroundworkError, match="cannot be made immutable"):
        mounts.protect(tmp_path / "point")
