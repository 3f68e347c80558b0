"""When MicroK8s's certificates end. Server and front-proxy certificates last 365 days and nothing renews them.

Only the validity is read, by hand: neither Python's standard library nor a bare host parses X.509.
Structure: RFC 5280, section 4.1; encoding: ITU-T X.690.
"""

from __future__ import annotations

import base64
import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.groundwork.errors import GroundworkError

PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
SEQUENCE, UTC_TIME, GENERALIZED_TIME, VERSION = 0x30, 0x17, 0x18, 0xA0


@dataclass(frozen=True)
class Certificate:
    """A certificate by the name of its file without .crt. `expires` in ISO 8601, UTC; days are rounded down."""

    name: str
    expires: str
    days_left: int


def observe(directory: Path, now: datetime.datetime | None = None) -> tuple[Certificate, ...]:
    """Every *.crt of a directory, by name; files that cannot be read, or hold no certificate, are left out."""
    now = now or datetime.datetime.now().astimezone()
    return tuple(found for path in sorted(directory.glob("*.crt")) if (found := _certificate(path, now)))


def expiry(pem: bytes) -> datetime.datetime:
    """The notAfter of the first certificate in a PEM text, in UTC.

    Raises GroundworkError where there is none.
    """
    match = PEM.search(pem)
    try:
        return _not_after(base64.b64decode(match[1] if match else b""))
    except (IndexError, ValueError):
        raise GroundworkError(
            "There is no certificate in this text", "Make it anew with `microk8s refresh-certs`."
        ) from None


def _certificate(path: Path, now: datetime.datetime) -> Certificate | None:
    try:
        expires = expiry(path.read_bytes())
    except (OSError, GroundworkError):
        return None
    return Certificate(path.stem, expires.isoformat(), (expires - now).days)


def _not_after(der: bytes) -> datetime.datetime:
    """Certificate > tbsCertificate > [version,] serial, algorithm, issuer, validity > notAfter."""
    (_, certificate), *_ = _elements(der)
    (_, signed), *_ = _elements(certificate)
    fields = [element for element in _elements(signed) if element[0] != VERSION]
    tag, text = list(_elements(fields[3][1]))[1]
    digits = text.decode("ascii")
    if tag == UTC_TIME:  # two digits of the year; 50 and above are the 1900s
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    elif tag != GENERALIZED_TIME:
        raise ValueError("not a time")
    return datetime.datetime.strptime(digits, "%Y%m%d%H%M%S%z")  # Z is UTC


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element in a row of DER."""
    place = 0
    while place < len(data):
        tag, length = data[place], data[place + 1]
        place += 2
        if length & 0x80:  # long form: the low bits count the bytes of the length
            size = length & 0x7F
            length = int.from_bytes(data[place : place + size], "big")
            place += size
        yield tag, data[place : place + length]
        place += length
