"""Certificates of servers and the authority that signs them, by the library cryptography: no key touches a disk.

https://cryptography.io/en/latest/x509/reference; it is in hosts' virtual environment.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field

from ansible.module_utils.groundwork.errors import GroundworkError
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
SERVER_DAYS = 365
RENEWED_BEFORE_DAYS = 60
"""Well before CertificateExpiring (roles/monitoring) fires: a site that runs its playbook monthly never sees it."""
LONGEST_COMMON_NAME = 64
USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, both in PEM."""

    certificate: str
    key: str = field(repr=False)


def make_authority(name: str) -> Pair:
    """A certificate that signs others, by its own key.

    Raises GroundworkError where the name serves for none.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _begun(name, AUTHORITY_DAYS, key.public_key())
        .issuer_name(_name(name))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
    )
    return _pair(builder.sign(key, hashes.SHA256()), key)


def make_server(authority: Pair, names: Sequence[str]) -> Pair:
    """A server's certificate for DNS names and addresses, the first of which is its common name.

    Raises GroundworkError where a name is none, or the authority cannot be read or its key is not there.
    """
    if not authority.key:
        raise GroundworkError(
            "the authority's key is not in the cluster, and a certificate must be signed",
            "Put tls.key beside tls.crt in the authority's Secret for the time of this run.",
        )
    signer, signer_key = _load(authority)
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())  # type: ignore[arg-type] # what signs is of these kinds
    builder = (
        _begun(names[0], SERVER_DAYS, key.public_key())
        .issuer_name(signer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
    )
    return _pair(builder.sign(signer_key, hashes.SHA256()), key)


def fault(pair: Pair, authority: str, names: Sequence[str]) -> str:
    """Why a server's certificate does not serve any more, "" where it does for RENEWED_BEFORE_DAYS yet.

    authority  the certificate that must have signed it
    """
    try:
        certificate, key = _load(pair)
        signer = x509.load_pem_x509_certificate(authority.encode())
    except (GroundworkError, ValueError) as error:
        return f"it cannot be read: {error}"
    if certificate.public_key() != key.public_key():
        return "the key is not the certificate's"
    now = datetime.datetime.now(datetime.timezone.utc)
    if not _ends_after(now, certificate, signer) or not _is_signed_by(certificate, signer):
        return "the authority did not sign it, or it has ended"
    if not _ends_after(now + datetime.timedelta(days=RENEWED_BEFORE_DAYS), certificate, signer):
        return f"it, or the authority's, ends within {RENEWED_BEFORE_DAYS} days"
    named = _named(certificate)
    missing = [name for name in names if not {name, _wildcard(name)} & named]
    return f"it does not name {', '.join(missing)}" if missing else ""


def _begun(name: str, days: int, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    """What every certificate says. It begins an hour ago: clocks of hosts differ."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(name: str) -> x509.Name:
    try:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:LONGEST_COMMON_NAME])])
    except ValueError as error:
        raise GroundworkError(f"{name!r} names no certificate: {error}", "Give it a name.") from None


def _usage(*meant: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in meant for usage in USAGES})


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if not name or not all(letter.isalnum() or letter in "-.*_" for letter in name):
        raise GroundworkError(f"{name!r} names no server", "Give DNS names and addresses alone.")
    return x509.DNSName(name)


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(certificate.public_bytes(Encoding.PEM).decode(), private.decode())


def _load(pair: Pair) -> tuple[x509.Certificate, CertificateIssuerPrivateKeyTypes]:
    try:
        key = load_pem_private_key(pair.key.encode(), password=None)
        return x509.load_pem_x509_certificate(pair.certificate.encode()), key  # type: ignore[return-value] # what signs
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise GroundworkError(f"a certificate or its key is no PEM: {error}", "See the Secret it came from.") from None


def _ends_after(when: datetime.datetime, *certificates: x509.Certificate) -> bool:
    return all(each.not_valid_before_utc <= when <= each.not_valid_after_utc for each in certificates)


def _is_signed_by(certificate: x509.Certificate, signer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(signer)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True


def _named(certificate: x509.Certificate) -> set[str]:
    """The names and addresses that a certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}


def _wildcard(name: str) -> str:
    return f"*.{name.partition('.')[2]}"
