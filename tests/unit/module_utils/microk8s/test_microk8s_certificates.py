"""When MicroK8s's certificates end."""

from __future__ import annotations

import base64
import datetime
from pathlib import Path

import pytest
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.microk8s import certificates
from ansible.module_utils.groundwork.microk8s.certificates import Certificate
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

UTC = datetime.timezone.utc
KEY = ec.generate_private_key(ec.SECP256R1())
times = st.datetimes(datetime.datetime(1951, 1, 1), datetime.datetime(2200, 1, 1)).map(
    lambda t: t.replace(microsecond=0)
)


def certificate(ends: datetime.datetime, subject: str = "kubernetes") -> bytes:
    """A self-signed certificate as X.509 version 3, in PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(4711)
        .not_valid_before(datetime.datetime(1950, 6, 1))
        .not_valid_after(ends)
        .sign(KEY, SHA256())
    )
    return built.public_bytes(Encoding.PEM)


@settings(max_examples=30)
@given(times, st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=60))
def test_the_end_is_read_from_every_certificate(ends: datetime.datetime, subject: str) -> None:
    assert certificates.expiry(certificate(ends, subject)) == ends.replace(tzinfo=UTC)


@pytest.mark.parametrize("year", [1951, 1999, 2000, 2049, 2050, 2149])
def test_both_ways_to_write_a_year(year: int) -> None:
    assert certificates.expiry(certificate(datetime.datetime(year, 2, 3, 4, 5, 6))).year == year


def test_the_first_certificate_of_a_chain_counts() -> None:
    chain = certificate(datetime.datetime(2030, 1, 1)) + certificate(datetime.datetime(2040, 1, 1))
    assert certificates.expiry(b"subject=CN = 127.0.0.1\n" + chain).year == 2030


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"not a certificate",
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n"
        + certificate(datetime.datetime(2030, 1, 1))[28:200]
        + b"-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_certificate_says_so(pem: bytes) -> None:
    with pytest.raises(GroundworkError, match="no certificate"):
        certificates.expiry(pem)


@given(st.binary(max_size=300))
def test_no_bytes_whatever_break_it(data: bytes) -> None:
    pem = b"-----BEGIN CERTIFICATE-----" + base64.b64encode(data) + b"-----END CERTIFICATE-----"
    with pytest.raises(GroundworkError, match="no certificate"):
        certificates.expiry(pem)


def test_a_directory_tells_the_days_left_of_each(tmp_path: Path) -> None:
    now = datetime.datetime(2026, 11, 21, 12, tzinfo=UTC)
    for name, days in {"server": 364.9, "ca": 3650.0, "front-proxy-client": -1.5}.items():
        ends = now + datetime.timedelta(days=days)
        (tmp_path / f"{name}.crt").write_bytes(certificate(ends))
    (tmp_path / "broken.crt").write_text("nothing")
    (tmp_path / "ca.key").write_text("secret")
    found = certificates.observe(tmp_path, now)
    assert [(one.name, one.days_left) for one in found] == [("ca", 3650), ("front-proxy-client", -2), ("server", 364)]
    assert found[0] == Certificate("ca", "2036-11-18T12:00:00+00:00", 3650)


def test_no_directory_has_none(tmp_path: Path) -> None:
    assert certificates.observe(tmp_path / "absent") == ()
