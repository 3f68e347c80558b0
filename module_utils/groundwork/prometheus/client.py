"""Prometheus's HTTP API through its Service: https://prometheus.io/docs/prometheus/latest/querying/api.

Every connection is encrypted, and trusted by the site's own authority alone.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible.module_utils.groundwork.encrypted import Connection
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes.cluster import Object

ANSWER_SECONDS = 10.0
REMEDY = "See `microk8s kubectl get pods -n monitoring`, and the log of Prometheus's pod."


class Prometheus(Protocol):
    """What verification needs; tests have one of their own."""

    @property
    def entrance_port(self) -> int:
        """Its port on every node's address, 0 where it has none."""

    def ask(self, path: str, **query: str) -> Any:
        """The data of an answer of the API."""

    def status_for_strangers(self, url: str = "") -> int:
        """The HTTP status that somebody without a password gets, from Prometheus or another URL."""


class Reader(Protocol):
    """What `find` needs of a cluster."""

    def get(self, path: str, **query: str) -> Object:
        """The object at a path of the API."""


@dataclass(frozen=True)
class Client:
    """Prometheus behind its Service. `repr` is without the password.

    url            of its web server; `name` is what its certificate calls it
    authority      the certificate, in PEM, of who signed that
    entrance_port  its port on every node's address, 0 where it has none
    """

    url: str
    name: str
    authority: str = field(repr=False)
    username: str
    password: str = field(repr=False)
    entrance_port: int = 0

    def ask(self, path: str, **query: str) -> Any:
        """See Prometheus.

        Raises GroundworkError where there is no answer, or an error.
        """
        credentials = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        url = f"{self.url}/api/v1/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        status, body = self._get(url, {"Authorization": f"Basic {credentials}"})
        if status != http.client.OK:
            raise GroundworkError(f"Prometheus refused {path} with status {status}", REMEDY)
        try:
            return json.loads(body)["data"]
        except (ValueError, KeyError, TypeError) as error:
            raise GroundworkError(f"Prometheus does not answer {path} in its words: {error}", REMEDY) from None

    def status_for_strangers(self, url: str = "") -> int:
        """See Prometheus.

        Raises GroundworkError where there is no answer.
        """
        return self._get(url or f"{self.url}/api/v1/query?query=up", {})[0]

    def _get(self, url: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        parts = urllib.parse.urlsplit(url)
        name = self.name if url.startswith(f"{self.url}/") else str(parts.hostname)
        connection = Connection(str(parts.hostname), parts.port, name, self.authority, ANSWER_SECONDS)
        try:
            with contextlib.closing(connection):
                connection.request("GET", parts._replace(scheme="", netloc="").geturl(), headers=dict(headers))
                answer = connection.getresponse()
                return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise GroundworkError(f"Nobody answers at {url}: {error}", REMEDY) from None


def find(cluster: Reader, namespace: str, name: str = "prometheus") -> Client:
    """Prometheus behind its Service, with the password and the authority out of its Secrets `…-web` and `…-tls`.

    Raises GroundworkError where one of them is not there.
    """
    base = f"/api/v1/namespaces/{namespace}"
    service = cluster.get(f"{base}/services/{name}")["spec"]
    login = _texts(cluster.get(f"{base}/secrets/{name}-web"), "username", "password")
    [authority] = _texts(cluster.get(f"{base}/secrets/{name}-tls"), "ca.crt")
    address = str(service["clusterIP"])
    host = f"[{address}]" if ":" in address else address
    port = int(service["ports"][0].get("nodePort") or 0)
    return Client(f"https://{host}:9090", f"{name}.{namespace}.svc", authority, login[0], login[1], port)


def _texts(secret: Object, *keys: str) -> list[str]:
    data = secret.get("data") or {}
    missing = [key for key in keys if key not in data]
    if missing:
        name = secret.get("metadata", {}).get("name", "")
        raise GroundworkError(f"The Secret {name} has no {missing[0]}", "Run playbooks/platform.yml, which makes one.")
    return [base64.b64decode(data[key]).decode() for key in keys]
