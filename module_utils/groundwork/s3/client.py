"""Requests to an S3 API, signed by version 4 of AWS's signatures.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html says how a request is signed.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from xml.etree import ElementTree

from ansible.module_utils.groundwork.errors import GroundworkError

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "s3"
UNRESERVED = "-_.~"


@dataclass(frozen=True)
class Key:
    """Who asks: an access key's name and its secret."""

    access: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """What the store said."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def good(self) -> bool:
        """Whether the request was done."""
        return 200 <= self.status < 300

    @property
    def code(self) -> str:
        """The error's name, such as NoSuchBucket; empty where there is none, as in every answer to HEAD."""
        return self.text("Code")

    def text(self, name: str) -> str:
        """The text of the first XML element of a name; empty where there is none."""
        return next((element.text or "" for element in self.elements(name)), "")

    def elements(self, name: str) -> list[ElementTree.Element]:
        """The XML elements of a name, whatever their namespace."""
        try:
            root = ElementTree.fromstring(self.body)  # noqa: S314 - expat expands no entities without limit since 2.4.1
        except ElementTree.ParseError:
            return []
        return [element for element in root.iter() if element.tag.rpartition("}")[2] == name]


class Store(Protocol):
    """What consumers and proofs need of an object store; tests have one of their own."""

    def ask(
        self,
        method: str,
        path: str,
        key: Key | None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """The answer to a request, whatever its status; without a key the request is not signed."""


@dataclass(frozen=True)
class Client:
    """An object store by its endpoint, with the bucket in the path, as every implementation knows it.

    endpoint   such as https://s3.example:9000, without a path
    authority  the certificate of who signed the endpoint's own, in PEM; empty for those that the system trusts
    """

    endpoint: str
    region: str
    authority: str = ""
    timeout_seconds: float = 30.0
    now: Callable[[], datetime.datetime] = field(
        default=lambda: datetime.datetime.now(datetime.timezone.utc), repr=False
    )

    def ask(
        self,
        method: str,
        path: str,
        key: Key | None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """See Store. Raises GroundworkError where nothing answers, or it is not who it should be."""
        address = urllib.parse.quote(path, safe="/" + UNRESERVED)
        text = _query(query or {})
        host = urllib.parse.urlsplit(self.endpoint).netloc
        sent = {**(headers or {}), "Host": host, "x-amz-content-sha256": hashlib.sha256(body).hexdigest()}
        sent["x-amz-date"] = f"{self.now():%Y%m%dT%H%M%SZ}"
        if key:
            sent["Authorization"] = authorization(key, self.region, method, address, text, sent)
        url = f"{self.endpoint}{address}{'?' if text else ''}{text}"
        return self._send(method, url, sent, body)

    def _send(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        try:
            request = urllib.request.Request(url, body or None, headers, method=method)  # noqa: S310 - see _opener
            with self._opener().open(request, timeout=self.timeout_seconds) as answer:
                return Answer(answer.status, answer.read(), dict(answer.headers))
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read(), dict(error.headers))
        except (OSError, ValueError) as error:  # URLError is an OSError; a malformed URL is a ValueError
            reason = getattr(error, "reason", error)
            raise GroundworkError(
                f"{self.endpoint} does not answer: {reason}",
                "Start the object store, correct its endpoint or its authority's certificate, or open the way to it.",
            ) from None

    def _opener(self) -> urllib.request.OpenerDirector:
        """What opens http and https alone, through the environment's proxy where there is one."""
        opener = urllib.request.OpenerDirector()
        context = ssl.create_default_context(cadata=self.authority or None)
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(context=context),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.UnknownHandler(),
        ):
            opener.add_handler(handler)
        return opener


def authorization(key: Key, region: str, method: str, path: str, query: str, headers: Mapping[str, str]) -> str:
    """The header Authorization of a request; `path` and `query` are quoted already, `headers` are all signed."""
    signed = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    names = ";".join(sorted(signed))
    lines = [f"{name}:{signed[name]}\n" for name in sorted(signed)]
    canonical = "\n".join([method, path, query, "".join(lines), names, signed["x-amz-content-sha256"]])
    moment = signed["x-amz-date"]
    scope = f"{moment[:8]}/{region}/{SERVICE}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    signature = _signature(key, scope, "\n".join([ALGORITHM, moment, scope, digest]))
    return f"{ALGORITHM} Credential={key.access}/{scope}, SignedHeaders={names}, Signature={signature}"


def _signature(key: Key, scope: str, text: str) -> str:
    current = f"AWS4{key.secret}".encode()
    for part in (*scope.split("/"), text):
        current = hmac.new(current, part.encode(), hashlib.sha256).digest()
    return current.hex()


def _query(query: Mapping[str, str]) -> str:
    quoted = sorted((_quote(name), _quote(value)) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in quoted)


def _quote(text: str) -> str:
    return urllib.parse.quote(text, safe=UNRESERVED)
