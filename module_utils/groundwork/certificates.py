"""Certificates of servers and the authority that signs them, by openssl, which ca-certificates brings to every host.

https://docs.openssl.org/3.0/man1/openssl-req, openssl-x509 and openssl-verify: 3.0 is Debian 12's and Ubuntu 22.04's.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ansible.module_utils.groundwork.command import Run, run
from ansible.module_utils.groundwork.errors import GroundworkError

AUTHORITY_DAYS = 3650
SERVER_DAYS = 365
RENEWED_BEFORE_DAYS = 60
"""Well before CertificateExpiring (roles/monitoring) fires: a site that runs its playbook monthly never sees it."""
DAY_SECONDS = 86400
LIMIT_SECONDS = 30.0
MEMORY = "/run"
Words = list[str | int | Path]
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")

# Everything is said here: what a system's own openssl.cnf would add differs between releases.
_CONFIGURATION = """\
[req]
distinguished_name = name
prompt = no
string_mask = utf8only
[name]
CN = {common_name}
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, both in PEM."""

    certificate: str
    key: str = field(repr=False)


def make_authority(name: str, run: Run = run) -> Pair:
    """A certificate that signs others, by its own key.

    Raises GroundworkError where openssl refuses.
    """
    with _folder(_CONFIGURATION.format(common_name=name, names="DNS:unused")) as folder:
        made: Words = ["-keyout", folder / "key", "-out", folder / "crt", "-days", AUTHORITY_DAYS]
        _openssl(run, "req", "-x509", *NEW_KEY, "-config", folder / "cnf", "-extensions", "authority", *made)
        return _read(folder)


def make_server(authority: Pair, names: Sequence[str], run: Run = run) -> Pair:
    """A server's certificate for DNS names and addresses, the first of which is its common name.

    Raises GroundworkError where openssl refuses, or the authority's key is not there.
    """
    if not authority.key:
        raise GroundworkError(
            "the authority's key is not in the cluster, and a certificate must be signed",
            "Put tls.key beside tls.crt in the authority's Secret for the time of this run.",
        )
    with _folder(_CONFIGURATION.format(common_name=names[0][:64], names=_alternatives(names))) as folder:
        _write(folder, "ca.crt", authority.certificate)
        _write(folder, "ca.key", authority.key)
        _openssl(
            run, "req", "-new", *NEW_KEY, "-config", folder / "cnf", "-keyout", folder / "key", "-out", folder / "csr"
        )
        signed_by: Words = [
            "-CA",
            folder / "ca.crt",
            "-CAkey",
            folder / "ca.key",
            "-set_serial",
            f"0x{secrets.token_hex(16)}",
        ]
        extensions: Words = ["-extfile", folder / "cnf", "-extensions", "server", "-days", SERVER_DAYS, "-sha256"]
        _openssl(run, "x509", "-req", "-in", folder / "csr", *signed_by, *extensions, "-out", folder / "crt")
        return _read(folder)


def fault(pair: Pair, authority: str, names: Sequence[str], run: Run = run) -> str:
    """Why a server's certificate does not serve any more, "" where it does for RENEWED_BEFORE_DAYS yet.

    authority  the certificate that must have signed it
    """
    with _folder("") as folder:
        for name, text in (("ca.crt", authority), ("crt", pair.certificate), ("key", pair.key)):
            _write(folder, name, text)
        certificate = _tried(run, "x509", "-in", folder / "crt", "-noout", "-pubkey")
        if not certificate or certificate != _tried(run, "pkey", "-in", folder / "key", "-pubout"):
            return "the key is not the certificate's"
        trusted: Words = ["-CAfile", folder / "ca.crt", "-partial_chain", "-purpose", "sslserver"]
        if not _tried(run, "verify", *trusted, folder / "crt"):
            return "the authority did not sign it, or it has ended"
        then = int(time.time()) + RENEWED_BEFORE_DAYS * DAY_SECONDS
        if not _tried(run, "verify", *trusted, "-attime", then, folder / "crt"):
            return f"it, or the authority's, ends within {RENEWED_BEFORE_DAYS} days"
        named = {name: ("-verify_ip" if _is_address(name) else "-verify_hostname", name) for name in names}
        missing = [name for name in names if not _tried(run, "verify", *trusted, *named[name], folder / "crt")]
        return f"it does not name {', '.join(missing)}" if missing else ""


def _alternatives(names: Sequence[str]) -> str:
    return ", ".join(f"{'IP' if _is_address(name) else 'DNS'}:{name}" for name in names)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@contextmanager
def _folder(configuration: str) -> Iterator[Path]:
    """A folder for its owner alone, in memory where the host has that: keys are in it for a moment."""
    with tempfile.TemporaryDirectory(prefix="groundwork-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as name:
        _write(Path(name), "cnf", configuration)
        yield Path(name)


def _write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)


def _read(folder: Path) -> Pair:
    return Pair((folder / "crt").read_text(), (folder / "key").read_text())


def _tried(run: Run, *words: str | int | Path) -> str:
    """What openssl says, "" where it refuses."""
    output = run(["openssl", *map(str, words)], LIMIT_SECONDS)
    return "" if output.code else output.stdout


def _openssl(run: Run, *words: str | int | Path) -> None:
    output = run(["openssl", *map(str, words)], LIMIT_SECONDS)
    if output.code:
        raise GroundworkError(
            f"`openssl {words[0]}` failed: {output.stderr.strip() or output.code}",
            "See that openssl is installed, and that the names are DNS names or addresses.",
        )
