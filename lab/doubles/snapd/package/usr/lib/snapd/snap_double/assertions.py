"""Assertions: signed statements about snaps, without which a snap file is not installed. `snap ack` adds them.

As in snapd a stream of assertions is headers, a blank line, the signature, a blank line. The double's are signed with
Ed25519 by a key of the lab's own.
"""

from __future__ import annotations

import base64
import binascii
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import layout
from .errors import SnapError


@dataclass(frozen=True)
class Revision:
    """What a snap-revision assertion and its snap-declaration say together."""

    name: str
    revision: str
    digest: str


def ack(path: str) -> None:
    """Add the assertions of a file to the database, all or none.

    Raises:
        SnapError: the file cannot be read, is no stream of assertions, or a signature is wrong.
    """
    try:
        text = Path(path).read_text()
    except OSError as error:
        raise SnapError(f"cannot assert: open {path}: {(error.strerror or str(error)).lower()}") from None
    try:
        add(text)
    except ValueError as error:
        raise SnapError(f"cannot assert: assert failed: {error}") from None


def add(text: str) -> Revision:
    """Verify a stream, remember it and return what it says of its snap.

    Raises:
        ValueError: it is not valid; the message says why.
    """
    statements = [_verified(headers, signature) for headers, signature in _split(text)]
    kinds = {statement.get("type"): statement for statement in statements}
    try:
        declaration, revision = kinds["snap-declaration"], kinds["snap-revision"]
        found = Revision(declaration["snap-name"], revision["snap-revision"], _hex(revision["snap-sha3-384"]))
    except KeyError as missing:
        raise ValueError(f"cannot resolve prerequisite assertion: {missing}") from None
    if declaration["snap-id"] != revision["snap-id"]:
        raise ValueError(f"snap-revision is of another snap than {found.name}")
    _database().mkdir(parents=True, exist_ok=True)
    (_database() / found.digest).write_text(text)
    return found


def find(digest: str) -> Revision | None:
    """What is known of a snap file with this SHA3-384, verified once more."""
    try:
        return add((_database() / digest).read_text())
    except (FileNotFoundError, ValueError):
        return None


def _split(text: str) -> list[tuple[str, str]]:
    parts = text.strip("\n").split("\n\n")
    if len(parts) % 2:
        raise ValueError("unexpected EOF")
    return list(zip(parts[::2], parts[1::2], strict=True))


def _verified(headers: str, signature: str) -> dict[str, str]:
    try:
        raw = base64.b64decode(signature, validate=False)
        fields = dict(line.split(": ", 1) for line in headers.splitlines())
    except (binascii.Error, ValueError):
        raise ValueError("parsing assertion headers: malformed assertion") from None
    if not _signed(headers.encode(), raw):
        raise ValueError(f"failed signature verification: {fields.get('type', 'assertion')} is not what was signed")
    return fields


def _signed(content: bytes, signature: bytes) -> bool:
    with tempfile.TemporaryDirectory() as work:
        (what := Path(work) / "content").write_bytes(content)
        (by := Path(work) / "signature").write_bytes(signature)
        verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(layout.ASSERTION_KEY), "-rawin"]
        done = subprocess.run([*verify, "-in", str(what), "-sigfile", str(by)], capture_output=True, check=False)
    return done.returncode == 0


def _hex(digest: str) -> str:
    return base64.urlsafe_b64decode(digest).hex()


def _database() -> Path:
    return layout.STATE / "assertions"
