"""What is mounted where, and the folder that a mount hides."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ansible.module_utils.groundwork.errors import GroundworkError

MOUNTS = Path("/proc/self/mountinfo")
# open_tree(2) and ioctl_iflags(2); the numbers are those of every 64-bit architecture.
_OPEN_TREE, _AT_FDCWD, _CLONE = 428, -100, 0x80001
_GET_FLAGS, _SET_FLAGS, _IMMUTABLE = 0x80086601, 0x40086602, 0x10
_UNKNOWN = {errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


@dataclass(frozen=True)
class Mount:
    """What is mounted at a path: its type as the kernel says it, where it comes from, and the options."""

    type: str
    source: str
    options: str

    def to_dict(self) -> dict[str, str]:
        """As JSON."""
        return asdict(self)


def find(path: Path, mounts: Path = MOUNTS) -> Mount | None:
    """What is mounted at exactly this path, the uppermost; None where it is a plain folder, or nothing.

    mounts  a file in the format of proc_pid_mountinfo(5)
    """
    found = None
    for line in mounts.read_text().splitlines():
        before, _, after = line.partition(" - ")
        if _plain(before.split()[4]) == str(path):
            kind, source, *_ = after.split()
            found = Mount(kind, _plain(source), before.split()[5])
    return found


def is_protected(path: Path) -> bool | None:
    """Whether the folder that a mount at `path` hides is immutable; None where its filesystem knows no such thing.

    Raises GroundworkError where there is no such folder.
    """
    with _hidden(path) as folder:
        flags = _flags(folder)
    return None if flags is None else bool(flags & _IMMUTABLE)


def protect(path: Path, protected: bool = True) -> None:
    """Make the folder that a mount at `path` hides immutable, or not.

    While nothing is mounted nobody writes there then, root neither.

    Raises GroundworkError where that fails.
    """
    with _hidden(path) as folder:
        flags = _flags(folder) or 0
        flags = flags | _IMMUTABLE if protected else flags & ~_IMMUTABLE
        try:
            fcntl.ioctl(folder, _SET_FLAGS, struct.pack("i", flags))
        except OSError as error:
            remedy = (
                "Look at the filesystem of the folder above; shared_storage_mount_point_protected: false does without."
            )
            raise GroundworkError(
                f"The folder below {path} cannot be made immutable: {error.strerror}", remedy
            ) from None


@contextlib.contextmanager
def _hidden(path: Path) -> Iterator[int]:
    """The folder at `path` as its parent's filesystem has it: a copy of that mount has no others upon it."""
    tree = _clone(path.parent)
    try:
        folder = os.open(path.name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=tree)
    except OSError as error:
        raise GroundworkError(f"{path}: {error.strerror}", "The mount point must be a folder.") from None
    finally:
        os.close(tree)
    try:
        yield folder
    finally:
        os.close(folder)


def _clone(path: Path) -> int:
    """A mount of `path` that nobody else sees, without those below it."""
    libc = ctypes.CDLL(None, use_errno=True)
    tree: int = libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), _CLONE)
    if tree < 0:
        raise GroundworkError(f"{path}: {os.strerror(ctypes.get_errno())}", "The folder must be there; run as root.")
    return tree


def _flags(folder: int) -> int | None:
    try:
        (flags,) = struct.unpack("i", fcntl.ioctl(folder, _GET_FLAGS, struct.pack("i", 0)))
    except OSError as error:
        if error.errno in _UNKNOWN:
            return None
        raise
    return int(flags)


def _plain(word: str) -> str:
    """A word of mountinfo, which writes blanks and the like as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), word)
