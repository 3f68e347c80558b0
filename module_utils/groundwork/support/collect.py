"""What a host tells of itself: declared commands and files, each under a deadline and bounded, in one archive.

Nothing here fails as a whole: what could not be collected is an entry that says why. Secrets are taken out in memory,
before a byte is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import shlex
import signal
import subprocess
import tarfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.support.redaction import forms, redact, tokens

Status = Literal["collected", "empty", "absent", "failed", "timed out", "refused", "left out"]
AT_ONCE = 4
"""Commands that run beside each other: most wait for something."""
KIB = 1024
INDEX = "index.json"
NEVER = re.compile(
    r"\.key$|/credentials/|known_tokens|cluster-tokens|/shadow|/id_(?:rsa|dsa|ecdsa|ed25519)$|\.(?:p12|pfx)$"
)
"""Files that are secrets as a whole."""
ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin",
    "SYSTEMD_PAGER": "",
    "SYSTEMD_COLORS": "0",
    "COLUMNS": "200",
}


@dataclass(frozen=True)
class Item:
    """A command whose output is collected as the file `name`, or why it is not even begun."""

    name: str
    argv: tuple[str, ...] = ()
    what: str = ""
    refusal: Entry | None = None


@dataclass(frozen=True)
class Entry:
    """What came of an item.

    what     the command, or the file's path
    size     bytes that are in the bundle
    removed  secrets that are not
    note     why it is not whole, for people
    """

    name: str
    what: str
    status: Status
    size: int = 0
    removed: int = 0
    note: str = ""


@dataclass(frozen=True)
class Limits:
    """How long one command and all of them may take, and how much one and all may tell."""

    seconds: float
    all_seconds: float
    bytes: int
    all_bytes: int


@dataclass(frozen=True)
class Ran:
    """What a command wrote, the end of it. code is None past the deadline; left_out counts bytes of the beginning."""

    output: bytes
    code: int | None
    left_out: int = 0


def items(declared: Sequence[Mapping[str, Any]], limit: int) -> list[Item]:
    """What is declared, as items: {name, argv}, or {name, files} with patterns, each file below the name as a folder.

    Raises GroundworkError for what is neither, and for a name that is no relative path.
    """
    return [item for each in declared for item in _items(each, limit)]


def collect(
    wanted: Sequence[Item], texts: Mapping[str, str], secret_files: Sequence[str], limits: Limits, to: Path
) -> list[Entry]:
    """Run all, and write what they say into a compressed archive that its owner alone reads; the entries by name.

    texts         what is known already, by the name of its file
    secret_files  patterns of files of this host whose long words are secret wherever they stand
    """
    known = forms(_secrets(secret_files))
    with private(to) as tar:
        entries = list(_collect(wanted, texts, known, limits, tar))
        add(tar, INDEX, json.dumps([asdict(entry) for entry in entries], indent=1).encode())
    return entries


@contextlib.contextmanager
def private(path: Path) -> Iterator[tarfile.TarFile]:
    """A new compressed archive in place of an old one, for its owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as tar:
        yield tar


def run(argv: Sequence[str], seconds: float, limit: int) -> Ran:
    """Run a command and keep the last `limit` bytes of both its streams; one that hangs is left behind.

    Raises OSError where it cannot be begun.
    """
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb") as end:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=end,
            stderr=subprocess.STDOUT,
            env=os.environ | ENVIRONMENT,
            start_new_session=True,
        )
        end.close()  # the command's own is the last one: when it closes that, there is nothing more to read
        output, total, ended = _read(stream.fileno(), time.monotonic() + seconds, limit)
    code = _end(process, 1.0 if ended else 0.0)
    return Ran(output, code if ended else None, total - len(output))


def _read(descriptor: int, deadline: float, limit: int) -> tuple[bytes, int, bool]:
    """The last bytes, how many there were, and whether the command closed its streams in time."""
    kept: deque[bytes] = deque()
    total = size = 0
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0 and selector.select(left):
            if not (chunk := os.read(descriptor, 1 << 16)):
                return b"".join(kept)[-limit:], total, True
            kept.append(chunk)
            total, size = total + len(chunk), size + len(chunk)
            while size - len(kept[0]) >= limit:
                size -= len(kept.popleft())
    return b"".join(kept)[-limit:], total, False


def _end(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """The exit status; a command that stays after that is ended, and not waited for."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    try:
        return process.wait(0.5)
    except subprocess.TimeoutExpired:
        return None  # asleep in the kernel: init reaps it


def _items(declared: Mapping[str, Any], limit: int) -> Iterator[Item]:
    name, argv, patterns = str(declared.get("name", "")), declared.get("argv"), declared.get("files")
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts or bool(argv) == bool(patterns):
        raise GroundworkError(
            f"Not an item to collect: {dict(declared)!r}",
            "Give it name, a relative path, and either argv, a list of words, or files, a list of paths.",
        )
    if argv:
        words = tuple(map(str, argv))
        yield Item(name, words, shlex.join(words))
    for pattern in patterns or ():
        yield from _files(name, str(pattern), limit)


def _files(folder: str, pattern: str, limit: int) -> Iterator[Item]:
    """By `tail`, so that a file that cannot be read costs a deadline and no more."""
    found = sorted(str(path) for path in _glob(pattern) if path.is_file())
    if not found:
        name = f"{folder}/{pattern.strip('/')}"
        yield Item(name, refusal=Entry(name, pattern, "absent", note="no such file"))
    for path in found:
        name = f"{folder}/{path.strip('/')}"
        if NEVER.search(os.path.realpath(path)) or NEVER.search(path):
            yield Item(name, refusal=Entry(name, path, "refused", note="the whole file is a secret"))
        else:
            yield Item(name, ("tail", f"--bytes={limit}", "--", path), path)


def _glob(pattern: str) -> Iterator[Path]:
    return Path("/").glob(pattern.lstrip("/"))


def _secrets(patterns: Sequence[str]) -> list[str]:
    found = []
    for path in (path for pattern in patterns for path in _glob(pattern)):
        try:
            found += tokens(path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue  # a file that is not there, or a folder, holds no token
    return found


def _collect(
    wanted: Sequence[Item], texts: Mapping[str, str], known: Sequence[str], limits: Limits, tar: tarfile.TarFile
) -> Iterator[Entry]:
    size = 0
    told = [(Entry(name, "", "collected"), text.encode()) for name, text in sorted(texts.items())]
    deadline = time.monotonic() + limits.all_seconds
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for entry, output in [*told, *pool.map(lambda item: _one(item, deadline, limits), wanted)]:
            kept = redact(output.decode(errors="replace"), known)
            data = kept.text.encode()
            if size + len(data) > limits.all_bytes:
                yield Entry(entry.name, entry.what, "left out", note=f"{len(data)} bytes are more than was left")
                continue
            size += len(data)
            if data:
                add(tar, entry.name, data)
            note = redact(entry.note, known).text
            yield Entry(entry.name, redact(entry.what, known).text, entry.status, len(data), kept.removed, note)


def _one(item: Item, deadline: float, limits: Limits) -> tuple[Entry, bytes]:
    """Run one item: its entry, without what is known only later, and its output."""
    if item.refusal:
        return item.refusal, b""
    seconds = min(limits.seconds, deadline - time.monotonic())
    if seconds <= 0:
        return Entry(item.name, item.what, "timed out", note="not begun: the time for all was up"), b""
    try:
        ran = run(item.argv, seconds, limits.bytes)
    except FileNotFoundError:
        return Entry(item.name, item.what, "absent", note=f"{item.argv[0]} is not there"), b""
    except OSError as error:
        return Entry(item.name, item.what, "failed", note=str(error)), b""
    return _judge(item, ran, seconds), _whole_lines(ran)


def _judge(item: Item, ran: Ran, seconds: float) -> Entry:
    note = f"the first {ran.left_out} bytes are left out" if ran.left_out else ""
    if ran.code is None:
        return Entry(
            item.name, item.what, "timed out", note=f"no end after {seconds:.0f} s; {note or 'what it said is here'}"
        )
    if ran.code:
        return Entry(item.name, item.what, "failed", note="; ".join(filter(None, (f"exit status {ran.code}", note))))
    return Entry(item.name, item.what, "collected" if ran.output.strip() else "empty", note=note)


def _whole_lines(ran: Ran) -> bytes:
    """Without the rest of a line whose beginning is left out: what names a secret may stood there."""
    return ran.output.partition(b"\n")[2] if ran.left_out else ran.output


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file."""
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(data), 0o600, int(time.time())
    tar.addfile(member, BytesIO(data))
