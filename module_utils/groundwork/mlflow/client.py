"""Requests to MLflow's server: https://mlflow.org/docs/latest/api_reference/rest-api.html.

Every connection is encrypted and never goes through a proxy: the server is the site's own.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import ssl
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible.module_utils.groundwork.errors import GroundworkError

API = "/api/2.0/mlflow"
LOG = "`microk8s kubectl logs -n mlflow deployment/mlflow`"


@dataclass(frozen=True)
class Login:
    """A user of MLflow's."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    body: bytes = b""

    @property
    def good(self) -> bool:
        """Whether the request was done."""
        return 200 <= self.status < 300

    @property
    def content(self) -> Any:
        """What the body says as JSON; an empty object where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    def __str__(self) -> str:
        said = self.content
        message = said.get("message") if isinstance(said, dict) else None
        return f"HTTP {self.status} {message or self.body[:200].decode(errors='replace')}".strip()


class Server(Protocol):
    """What users and proofs need of a server; tests have one of their own."""

    def ask(
        self,
        method: str,
        path: str,
        login: Login | None,
        *,
        query: Mapping[str, str] | None = None,
        content: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        host: str = "",
    ) -> Answer:
        """The answer to a request, whatever its status.

        content  what is sent as JSON
        body     what is sent as it is
        host     by what name the server is called, if by another one than the endpoint's
        """


@dataclass(frozen=True)
class Client:
    """A server by its endpoint, such as https://192.0.2.11:30500, and its authority's certificate, in PEM."""

    endpoint: str
    authority: str = field(repr=False)
    timeout_seconds: float = 30.0

    def ask(
        self,
        method: str,
        path: str,
        login: Login | None,
        *,
        query: Mapping[str, str] | None = None,
        content: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        host: str = "",
    ) -> Answer:
        """See Server. Raises GroundworkError where nothing answers, or it is not who it should be."""
        headers = {"Host": host} if host else {}
        if login:
            both = base64.b64encode(f"{login.name}:{login.password}".encode()).decode()
            headers["Authorization"] = f"Basic {both}"
        if content is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(content).encode()
        return self._send(method, f"{path}?{urllib.parse.urlencode(query)}" if query else path, headers, body)

    def _send(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Answer:
        parts = urllib.parse.urlsplit(self.endpoint)
        trusted = ssl.create_default_context(cadata=self.authority)
        connection = http.client.HTTPSConnection(
            str(parts.hostname), parts.port, timeout=self.timeout_seconds, context=trusted
        )
        try:
            with contextlib.closing(connection):
                connection.request(method, target, body, headers)
                answer = connection.getresponse()
                return Answer(answer.status, answer.read())
        except (OSError, http.client.HTTPException) as error:
            raise GroundworkError(
                f"MLflow does not answer at {self.endpoint}: {error}", f"See {LOG}, and that its port is open."
            ) from None
