"""The archive that is handed on: what hosts and the cluster told, with an index that says what is missing, and why.

Hosts took out what looks like a secret. What the cluster knows to be one is taken out here: no other host learns it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import tarfile
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ansible.module_utils.groundwork.check import Check, ok, warning
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.support.collect import INDEX, Entry, add, private
from ansible.module_utils.groundwork.support.page import render
from ansible.module_utils.groundwork.support.redaction import forms, redact, take_out

MISSED = ("timed out", "left out")


@dataclass(frozen=True)
class Part:
    """What one host, the cluster or the controller told; `problem` says why it told nothing, or not all."""

    name: str
    entries: tuple[Entry, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Bundle:
    """An archive that was written."""

    path: Path
    parts: tuple[Part, ...]
    secrets_known: int


def pack(
    cluster: str,
    archives: Mapping[str, Path],
    problems: Mapping[str, str],
    files: Sequence[Path],
    secrets: Sequence[str],
    to: Path,
) -> Bundle:
    """Write the archive, readable by its owner alone; one that is not finished is not left behind.

    archives  by the part's name, `hosts/n1` or `cluster`, what support_collect wrote there
    problems  by the part's name, why there is less than there should be
    files     of the controller, such as the last report
    secrets   what is known to be secret

    Raises GroundworkError where the archive cannot be written.
    """
    known = forms(secrets)
    fresh = to.with_name(f".{to.name}.new")
    try:
        with private(fresh) as tar:
            writer = _Writer(tar, to.name.partition(".")[0], known)
            parts = (*_parts(writer, archives, problems), _controller(writer, files))
            writer.add(INDEX, json.dumps(_index(cluster, parts), indent=1))
            writer.add(
                "index.html", render(cluster, _now(), [(part.name, part.problem, part.entries) for part in parts])
            )
        fresh.replace(to)
    except OSError as error:
        raise GroundworkError(f"{to} cannot be written: {error}", "Make room, or choose another folder.") from None
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink()
    return Bundle(to, parts, len(secrets))


def decode(encoded: Iterable[str]) -> list[str]:
    """Secrets as Kubernetes keeps them, as they are used; what is no text is no word of a log."""
    found = []
    for text in encoded:
        try:
            found.append(base64.b64decode(text, validate=True).decode())
        except (binascii.Error, UnicodeDecodeError):
            continue
    return found


def checks(bundle: Bundle) -> list[Check]:
    """What somebody should know who hands it on."""
    silent = [f"{part.name}: {part.problem}" for part in bundle.parts if part.problem]
    missed = [
        f"{part.name}: {entry.what or entry.name} ({entry.status})"
        for part in bundle.parts
        for entry in part.entries
        if entry.status in MISSED
    ]
    return [
        _look(
            "all_parts_told", silent, "every host and the cluster told all", "Mend that, and run again if it matters."
        ),
        _look(
            "commands_ended",
            missed,
            "every command ended in time, within its share",
            "What hangs is often what is broken. Else raise support_bundle_timeout_seconds or support_bundle_host_mib.",
        ),
        _look(
            "secrets_are_known",
            [] if bundle.secrets_known else ["no API server told what is secret; only forms and names were gone by"],
            "what the cluster knows to be secret was looked for literally",
            "Look through the bundle before it leaves you.",
        ),
    ]


def _look(name: str, faults: Sequence[str], wanted: str, remedy: str) -> Check:
    """A bundle is one, whatever is missing: nothing here fails."""
    full = f"support_bundle.{name}"
    return warning(full, "; ".join(faults), wanted, remedy) if faults else ok(full, wanted)


class _Writer:
    """Adds files to an archive, below one folder and without what is known to be secret."""

    def __init__(self, tar: tarfile.TarFile, folder: str, known: Sequence[str]) -> None:
        self._tar, self._folder, self._known = tar, folder, known

    def add(self, name: str, text: str, is_clean: bool = False) -> int:
        """Add a file; how many secrets were taken out. A clean one has only those left that its host does not know."""
        kept = take_out(text, self._known) if is_clean else redact(text, self._known)
        add(self._tar, f"{self._folder}/{name}", kept.text.encode())
        return kept.removed

    def clean(self, entry: Entry) -> Entry:
        """The entry without secrets in its words, such as a pod's name."""
        return replace(entry, what=self.text(entry.what), note=self.text(entry.note))

    def text(self, text: str) -> str:
        """Words of ours without secrets."""
        return redact(text, self._known).text


def _parts(writer: _Writer, archives: Mapping[str, Path], problems: Mapping[str, str]) -> Iterator[Part]:
    for name in sorted({*archives, *problems}):
        problem = writer.text(problems.get(name, ""))
        try:
            entries = _part(writer, name, archives[name]) if name in archives else ()
        except (OSError, EOFError, tarfile.TarError, zlib.error, ValueError, TypeError) as error:
            entries, problem = (), f"what it told cannot be read: {error}"
        yield Part(name, entries, problem)


def _part(writer: _Writer, name: str, archive: Path) -> tuple[Entry, ...]:
    """A host's files into ours. Its names are not trusted: none leads out of its folder."""
    removed: dict[str, int] = {}
    index: list[Any] | None = None
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            source = tar.extractfile(member) if member.isfile() else None
            if source is None or path.is_absolute() or ".." in path.parts:
                continue
            text = source.read().decode(errors="replace")
            if member.name == INDEX:
                index = json.loads(text)
            else:
                removed[member.name] = writer.add(f"{name}/{path}", text, is_clean=True)
    if index is None:
        raise ValueError(f"it has no {INDEX}, which is written last")
    found = (Entry(**entry) for entry in index)
    return tuple(writer.clean(replace(each, removed=each.removed + removed.get(each.name, 0))) for each in found)


def _controller(writer: _Writer, files: Sequence[Path]) -> Part:
    return Part("controller", tuple(_file(writer, path) for path in files))


def _file(writer: _Writer, path: Path) -> Entry:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return Entry(path.name, str(path), "absent", note=error.strerror or str(error))
    return Entry(path.name, str(path), "collected", len(text.encode()), writer.add(f"controller/{path.name}", text))


def _index(cluster: str, parts: Sequence[Part]) -> dict[str, Any]:
    return {"schema": 1, "cluster": cluster, "generated_at": _now(), "parts": [asdict(part) for part in parts]}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
