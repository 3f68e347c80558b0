"""Prometheus's HTTP API through its Service: https://prometheus.io/docs/prometheus/latest/querying/api."""

from __future__ import annotations

import base64
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any, Protocol

from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes.cluster import Object

ANSWER_SECONDS = 10.0
REMEDY = "See `microk8s kubectl get pods -n monitoring`, and the log of Prometheus's pod."


class Prometheus(Protocol):
    """What verification needs; tests have one of their own."""

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
    """Prometheus by the URL of its web server. `repr` is without the password."""

    url: str
    username: str
    password: str

    def __repr__(self) -> str:
        return f"Client({self.url!r}, {self.username!r})"

    def ask(self, path: str, **query: str) -> Any:
        """See Prometheus.

        Raises GroundworkError where there is no answer, or an error.
        """
        credentials = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        url = f"{self.url}/api/v1/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        request = urllib.request.Request(url, headers={"Authorization": f"Basic {credentials}"})  # noqa: S310
        try:
            with _open(request) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise GroundworkError(f"Prometheus refused {path} with status {error.code}", REMEDY) from None
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            raise GroundworkError(f"Prometheus does not answer at {self.url}: {error}", REMEDY) from None

    def status_for_strangers(self, url: str = "") -> int:
        """See Prometheus.

        Raises GroundworkError where there is no answer.
        """
        url = url or f"{self.url}/api/v1/query?query=up"
        try:
            with _open(urllib.request.Request(url)) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except (OSError, http.client.HTTPException) as error:
            raise GroundworkError(f"Nobody answers at {url}: {error}", REMEDY) from None


def find(cluster: Reader, namespace: str, service: str, secret: str) -> Client:
    """Prometheus behind a Service, with the password out of its Secret.

    Raises GroundworkError where one of the two is not there.
    """
    address = str(cluster.get(f"/api/v1/namespaces/{namespace}/services/{service}")["spec"]["clusterIP"])
    data = cluster.get(f"/api/v1/namespaces/{namespace}/secrets/{secret}").get("data") or {}
    if not {"username", "password"} <= set(data):
        raise GroundworkError(f"The Secret {secret} has no password", "Run playbooks/platform.yml, which makes one.")
    host = f"[{address}]" if ":" in address else address
    username, password = (base64.b64decode(data[key]).decode() for key in ("username", "password"))
    return Client(f"http://{host}:9090", username, password)


def _open(request: urllib.request.Request) -> Any:
    """Services are not reached through a proxy."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=ANSWER_SECONDS)
