"""Whether a folder is on one filesystem for several hosts: each sees what the others write, rename, delete and lock.

The hosts go through the stages together, each stage on all of them before the next: begin, look, change, end, leave.
Each has a folder of its own below the path; leave takes it away, and so does begin after a run that was killed.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.waiting import Waiter

PREFIX = ".groundwork-probe-"
WORD, MOVED, DELETED, LOCKED = "word", "moved", "deleted", "locked"
HOLD_SECONDS = 300.0
"""A holder whose run was killed ends by itself."""


@dataclass(frozen=True)
class Begun:
    """What a host wrote, and what it is to others: the owner that the filesystem gave its folder."""

    word: str
    owner: int


@dataclass(frozen=True)
class Folder:
    """The part of one host in a probe of `path`. `others`: what the other hosts wrote, by their names."""

    path: Path
    host: str
    others: Mapping[str, str] = field(default_factory=dict)

    @property
    def own(self) -> Path:
        """This host's folder."""
        return self._of(self.host)

    def begin(self, holds_lock: bool) -> Begun:
        """Write what the others look for; one host also holds a lock, until `end`.

        Raises GroundworkError where root may not make a folder there, as where its rights are squashed.
        """
        shutil.rmtree(self.own, ignore_errors=True)
        try:
            self.own.mkdir()
            word = secrets.token_hex(8)
            for name in (WORD, DELETED, LOCKED):
                _write(self.own / name, word)
        except OSError as error:
            raise GroundworkError(f"root cannot write there: {error.strerror}", "") from None
        if holds_lock:
            _hold(self.own / LOCKED)
        return Begun(word, self.own.stat().st_uid)

    def look(self, holder: str, waiter: Waiter) -> list[str]:
        """What is missing of what others wrote; whether a lock that `holder` has is refused to this host."""
        missing, _ = waiter.until(self._missing, lambda hosts: not hosts)
        faults = [f"what {host} writes is not seen" for host in missing]
        if holder in self.others and holder not in missing and _can_lock(self._of(holder) / LOCKED):
            faults.append(f"a lock that {holder} holds is not seen")
        return faults

    def change(self) -> list[str]:
        """Rename one file and delete another, for the others to see; what of it fails."""
        try:
            (self.own / WORD).rename(self.own / MOVED)
            (self.own / DELETED).unlink()
        except OSError as error:
            return [f"root cannot rename and delete there: {error.strerror}"]
        return []

    def end(self, waiter: Waiter) -> list[str]:
        """What is not seen of the others' changes; a lock that this host holds is let go."""
        (self.own / LOCKED).unlink(missing_ok=True)
        return waiter.until(self._unchanged, lambda faults: not faults)[0]

    def leave(self, waiter: Waiter) -> list[str]:
        """Take this host's folder away; NFS keeps a deleted file there until the last one has closed it."""

        def is_gone() -> bool:
            shutil.rmtree(self.own, ignore_errors=True)
            return not self.own.exists()

        return [] if waiter.until(is_gone, bool)[0] else [f"{self.own} cannot be removed"]

    def _missing(self) -> list[str]:
        """The other hosts whose words are not there; a client may remember for a while what was."""
        return [host for host, word in sorted(self.others.items()) if _read(self._of(host) / WORD) != word]

    def _unchanged(self) -> list[str]:
        return [fault for host in sorted(self.others) for fault in self._unchanged_of(host)]

    def _unchanged_of(self, host: str) -> Iterator[str]:
        folder = self._of(host)
        if not folder.is_dir():
            return  # told by `look` already
        if _exists(folder / WORD) or _read(folder / MOVED) != self.others[host]:
            yield f"what {host} renames is not seen"
        if _exists(folder / DELETED):
            yield f"what {host} deletes is still seen"

    def _of(self, host: str) -> Path:
        return self.path / f"{PREFIX}{host}"


def _read(file: Path) -> str | None:
    try:
        return file.read_text()
    except OSError:
        return None


def _exists(file: Path) -> bool:
    """Whether a file is there by its own name or by the listing of its folder, which clients remember apart.

    In this order: GlusterFS takes the listing, or a look at the new name, for news of the file whatever it is called.
    """
    return file.exists() or file in file.parent.iterdir()


def _write(file: Path, word: str) -> None:
    with file.open("w") as opened:
        opened.write(word)
        opened.flush()
        os.fsync(opened.fileno())


def _can_lock(file: Path) -> bool:
    """Whether this host gets the lock too; a filesystem without locks answers with an error, which keeps nobody out."""
    try:
        with file.open() as opened:
            fcntl.lockf(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def _hold(file: Path) -> None:
    """Leave a process behind that holds a lock on a file as long as it is there."""
    heard, told = os.pipe()
    if os.fork() == 0:
        try:
            os.setsid()
            with file.open("r+") as opened:
                fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.write(told, b"+")
                _close_all_but(opened.fileno())
                _await_end(file)
        finally:
            os._exit(0)
    os.close(told)
    os.read(heard, 1)  # nothing comes where the lock is refused; the others find out
    os.close(heard)


def _close_all_but(kept: int) -> None:
    """The module's connection and the pipe must end with those that wait for them, not with this process."""
    os.closerange(0, kept)
    os.closerange(kept + 1, 256)


def _await_end(file: Path) -> None:
    end = time.monotonic() + HOLD_SECONDS
    while file.exists() and time.monotonic() < end:
        time.sleep(0.2)
