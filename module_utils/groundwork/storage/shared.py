"""A folder that hosts share, judged: mounted, root may write there, and what one host does is seen by the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

from ansible.module_utils.groundwork import child
from ansible.module_utils.groundwork.check import Check, failed, judge, ok, skipped
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.storage import mounts
from ansible.module_utils.groundwork.storage.probe import Begun, Folder
from ansible.module_utils.groundwork.waiting import Waiter

T = TypeVar("T")
STAGES = ("begin", "look", "change", "end", "leave")
GRACE_SECONDS = 20.0
"""A filesystem whose server is gone keeps its callers waiting; beyond what a stage waits for by itself, so long."""


@dataclass(frozen=True)
class Found:
    """What a stage says: verdicts, what would not do, what is mounted, and what this host wrote."""

    checks: Sequence[Check] = ()
    faults: Sequence[str] = ()
    mount: mounts.Mount | None = None
    word: str = ""

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        checks = [check.to_dict() for check in self.checks]
        return {**asdict(self), "checks": checks, "faults": list(self.faults)}


@dataclass(frozen=True)
class Stage:
    """One stage of a probe on one host.

    path     where the filesystem is mounted
    host     this host's name
    source   what shall be mounted there; empty where the site itself says that
    must_be_mounted  whether it is a fault that nothing is there yet
    words    what each host wrote, this one too
    holder   the host that holds a lock meanwhile
    faults   what earlier stages found
    """

    path: Path
    host: str
    source: str = ""
    must_be_mounted: bool = True
    words: Mapping[str, str] = field(default_factory=dict)
    holder: str = ""
    faults: Sequence[str] = ()

    @property
    def folder(self) -> Folder:
        """This host's part of the probe."""
        others = {host: word for host, word in self.words.items() if host != self.host}
        return Folder(self.path, self.host, others)

    def begin(self, waiter: Waiter) -> Found:
        """Judge the mount by itself, and write what the others look for."""
        mount = mounts.find(self.path)
        mounted = self._mounted(mount)
        if mounted.status != "ok":
            return Found([mounted], mount=mount)
        begun = self._answer(lambda: self.folder.begin(self.host == self.holder), waiter)
        word = "" if isinstance(begun, GroundworkError) else begun.word
        return Found([mounted, self._writable(begun)], mount=mount, word=word)

    def look(self, waiter: Waiter) -> Found:
        """Look for what the others wrote."""
        return Found(faults=self._faults(lambda: self.folder.look(self.holder, waiter), waiter))

    def change(self, waiter: Waiter) -> Found:
        """Rename and delete."""
        return Found(faults=self._faults(self.folder.change, waiter))

    def end(self, waiter: Waiter) -> Found:
        """Look for what the others changed, and judge it all."""
        faults = self._faults(lambda: self.folder.end(waiter), waiter)
        return Found([self._shared(faults)], faults)

    def leave(self, waiter: Waiter) -> Found:
        """Leave nothing behind."""
        return Found(faults=self._faults(lambda: self.folder.leave(waiter), waiter))

    def _faults(self, work: Callable[[], list[str]], waiter: Waiter) -> list[str]:
        found = self._answer(work, waiter)
        return [*self.faults, *([found.message] if isinstance(found, GroundworkError) else found)]

    def _answer(self, work: Callable[[], T], waiter: Waiter) -> T | GroundworkError:
        """What a piece of work on the filesystem returned, or why it did not."""
        seconds = waiter.seconds + GRACE_SECONDS
        try:
            return child.result(child.start(work, str(self.path)), time.monotonic() + seconds)
        except child.DeadlineError:
            return GroundworkError(f"{self.path} does not answer in {seconds:g} s", "")
        except GroundworkError as error:
            return error

    def _mounted(self, mount: mounts.Mount | None) -> Check:
        wanted = f"{self.source or 'a filesystem that the hosts share'} is mounted at {self.path}"
        name = "shared_storage.path_is_mounted"
        if mount is None and not self.must_be_mounted:
            return skipped(name, f"nothing is mounted there yet; playbooks/storage.yml mounts {self.source}")
        if mount is None:
            remedy = (
                "Mount it on every node, by /etc/fstab, or set shared_storage_source, or empty shared_storage_path."
            )
            return failed(name, "nothing is mounted there", wanted, remedy)
        good = not self.source or self.source.rstrip("/") == mount.source.rstrip("/")
        remedy = "Unmount it once nothing uses it, and run again; or correct shared_storage_source."
        return judge(name, good, f"{mount.source} ({mount.type})", wanted, remedy)

    def _writable(self, begun: Begun | GroundworkError) -> Check:
        name, wanted = "shared_storage.path_is_writable", f"root makes folders in {self.path}"
        if isinstance(begun, GroundworkError):
            remedy = (
                "On the server, give the folder to the user that root becomes where its rights are squashed, mostly "
                "65534 (nobody), and see that it is not served read-only."
            )
            return failed(name, begun.message, wanted, remedy)
        return ok(name, f"root becomes user {begun.owner}" if begun.owner else "root keeps its rights", wanted)

    def _shared(self, faults: Sequence[str]) -> Check:
        others = sorted(set(self.words) - {self.host})
        lock = f", and the lock of {self.holder}" if self.holder in others else ""
        return judge(
            "shared_storage.path_is_shared",
            not faults,
            "; ".join(faults) or f"what {', '.join(others)} wrote, renamed and deleted{lock}",
            "every host sees what the others write, rename, delete and lock",
            "Mount the same filesystem on every node, with locks (Lustre: option flock; NFS: not nolock).",
        )
