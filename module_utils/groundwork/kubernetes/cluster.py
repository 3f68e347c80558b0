"""The API server. The only file that imports Kubernetes' Python client; objects are plain dictionaries, as in YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ansible.module_utils.groundwork.errors import GroundworkError

try:
    import kubernetes
    import kubernetes.stream
    import urllib3
    import yaml
except ImportError:
    kubernetes = None

Object = dict[str, Any]
JSON = "application/json"
NOT_FOUND = 404
REQUEST_SECONDS = 30
FOLDER = "/opt/groundwork"
"""Where pods of a proof have their programs."""
PROGRAM = ("python3", f"{FOLDER}/program.py")
"""What they run (pod_program.py)."""


class KubernetesError(GroundworkError):
    """The API server refused, with the HTTP status it gave; 0 means that it did not answer."""

    def __init__(self, message: str, remedy: str, status: int) -> None:
        super().__init__(message, remedy)
        self.status = status


class Cluster(Protocol):
    """What proofs need of a cluster; tests have one of their own."""

    def get(self, path: str, **query: str) -> Object:
        """The object, or list, at a path of the API."""

    def create(self, path: str, body: Object) -> Object:
        """The object as the server made it in the collection at `path`."""

    def delete(self, path: str) -> None:
        """Ask for the object's end; one that is not there is fine."""

    def ask(self, namespace: str, pod: str, words: Sequence[str], seconds: float) -> Object:
        """What the program answers in a running pod of a proof; {"error": …} where it does not."""


class Client:
    """A cluster by its kubeconfig. Raises KubernetesError for whatever the server refuses."""

    def __init__(self, kubeconfig: str, program: Sequence[str]) -> None:
        """Read the kubeconfig.

        program  the command line of the pods' program, its words apart

        Raises GroundworkError when the client's package or the file is missing.
        """
        if kubernetes is None:
            raise GroundworkError(
                "This Python has no kubernetes client",
                "Run the module by the interpreter in site_venv; role host_base puts the package there.",
            )
        try:
            self._api = kubernetes.config.new_client_from_config(config_file=kubeconfig)
        except (kubernetes.config.ConfigException, yaml.YAMLError) as error:
            raise GroundworkError(f"No cluster by {kubeconfig}: {error}", "Run on the admin host, as root.") from None
        self._program = tuple(program)

    def get(self, path: str, **query: str) -> Object:
        """See Cluster."""
        found: Object = json.loads(self._text("GET", path, query=query))
        return found

    def create(self, path: str, body: Object) -> Object:
        """See Cluster."""
        made: Object = json.loads(self._text("POST", path, body=body))
        return made

    def replace(self, path: str, body: Object) -> Object:
        """The object as the server put it in place of the one at `path`."""
        put: Object = json.loads(self._text("PUT", path, body=body))
        return put

    def patch(self, path: str, body: Object) -> Object:
        """The object at a path after a merge of `body`; null takes a key away (RFC 7386)."""
        merged: Object = json.loads(self._text("PATCH", path, body=body, content="application/merge-patch+json"))
        return merged

    def delete(self, path: str) -> None:
        """See Cluster."""
        try:
            self._text("DELETE", path, query={"propagationPolicy": "Background"})
        except KubernetesError as error:
            if error.status != NOT_FOUND:
                raise

    def text(self, path: str, **query: str) -> str:
        """What the server answers in plain text, as for a pod's log."""
        return self._text("GET", path, query=query)

    def ask(self, namespace: str, pod: str, words: Sequence[str], seconds: float) -> Object:
        """See Cluster."""
        try:
            stream = kubernetes.stream.stream(
                kubernetes.client.CoreV1Api(self._api).connect_get_namespaced_pod_exec,
                pod,
                namespace,
                command=[*self._program, *words],
                stdout=True,
                stderr=True,
                _preload_content=False,
                _request_timeout=seconds,
            )
        except kubernetes.client.ApiException as error:
            return {"error": f"exec in {pod}: {error.reason}"}
        stream.run_forever(timeout=seconds)
        stdout, stderr = stream.read_stdout(timeout=0), stream.read_stderr(timeout=0)
        stream.close()
        return answer(stdout, stderr)

    def _text(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content: str = JSON,
    ) -> str:
        request = self._api.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": JSON, "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = self._api.call_api(*request, _request_timeout=REQUEST_SECONDS)
            text = str(response.read().decode())
        except (kubernetes.client.ApiException, urllib3.exceptions.HTTPError) as error:
            raise _refusal(f"{method} {path}", 0, str(error)) from None
        if not 200 <= response.status <= 299:
            raise _refusal(f"{method} {path}", response.status, text or response.reason)
        return text


def answer(stdout: str, stderr: str) -> Object:
    """The program's answer, the last line of its standard output."""
    lines = stdout.strip().splitlines()
    try:
        found: Object = json.loads(lines[-1])
    except (IndexError, ValueError):
        return {"error": stderr.strip() or stdout.strip() or "no answer"}
    return found


def _refusal(request: str, status: int, body: str) -> KubernetesError:
    try:
        said = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        said = body
    remedy = "See that the API server runs: `microk8s status`." if status == 0 else "See the message."
    return KubernetesError(f"Kubernetes, {request}: {said}", remedy, status)
