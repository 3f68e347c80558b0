"""The HTTP API of Ray's dashboard: https://docs.ray.io/en/latest/cluster/running-applications/job-submission/rest.html.

The token is sent as https://docs.ray.io/en/latest/ray-security/token-auth.html says.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible.module_utils.groundwork.encrypted import Connection
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes.cluster import Object

ANSWER_SECONDS = 30.0
SERVICE, TOKEN, CERTIFICATE = "ray-entrance", "ray-token", "ray-tls"
REMEDY = "See `microk8s kubectl get pods -n ray`, and the logs of the head and of ray-entrance."
BAD_GATEWAY = 502
"""What nginx answers where it does not reach the head."""


@dataclass(frozen=True)
class Answer:
    """What was said: the HTTP status, and the text."""

    status: int
    text: str = ""

    @property
    def good(self) -> bool:
        """Whether the request was done."""
        return 200 <= self.status < 300

    @property
    def fields(self) -> Mapping[str, Any]:
        """The text as JSON's fields; none where it is something else."""
        try:
            found = json.loads(self.text)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


class Dashboard(Protocol):
    """What proofs need; tests have one of their own."""

    def ask(self, method: str, path: str, token: str | None, body: Mapping[str, Any] | None = None) -> Answer:
        """The answer to a request, whatever its status; `token` None is somebody who has none."""


class Reader(Protocol):
    """What `find` needs of a cluster."""

    def get(self, path: str, **query: str) -> Object:
        """The object at a path of the API."""


@dataclass(frozen=True)
class Client:
    """A dashboard by its address; `name` is what its certificate calls it, `authority` who signed that, in PEM."""

    host: str
    port: int
    name: str
    authority: str = field(repr=False)

    def ask(self, method: str, path: str, token: str | None, body: Mapping[str, Any] | None = None) -> Answer:
        """See Dashboard. Raises GroundworkError where nobody answers, or it is not who it should be."""
        headers = {"Content-Type": "application/json"} | ({} if token is None else {"Authorization": f"Bearer {token}"})
        connection = Connection(self.host, self.port, self.name, self.authority, ANSWER_SECONDS)
        try:
            with contextlib.closing(connection):
                connection.request(method, path, None if body is None else json.dumps(body), headers)
                answer = connection.getresponse()
                return Answer(answer.status, answer.read().decode(errors="replace"))
        except (OSError, http.client.HTTPException) as error:
            raise GroundworkError(f"Nobody answers at https://{self.host}:{self.port}: {error}", REMEDY) from None


def find(cluster: Reader, namespace: str, address: str) -> tuple[Client, str]:
    """The dashboard behind its entrance, and the token.

    address  of the node whose port is asked; where the entrance has none, its Service is

    Raises GroundworkError where one of them is not there.
    """
    base = f"/api/v1/namespaces/{namespace}"
    service = cluster.get(f"{base}/services/{SERVICE}")["spec"]
    authority = _text(cluster.get(f"{base}/secrets/{CERTIFICATE}"), "ca.crt")
    token = _text(cluster.get(f"{base}/secrets/{TOKEN}"), "auth_token")
    entrance = service["ports"][0]
    if entrance.get("nodePort"):
        return Client(address, int(entrance["nodePort"]), address, authority), token
    name = f"{SERVICE}.{namespace}.svc"
    return Client(str(service["clusterIP"]), int(entrance["port"]), name, authority), token


def _text(secret: Object, key: str) -> str:
    data = secret.get("data") or {}
    if key not in data:
        name = secret.get("metadata", {}).get("name", "")
        raise GroundworkError(f"The Secret {name} has no {key}", "Run playbooks/platform.yml, which makes one.")
    return base64.b64decode(data[key]).decode()
