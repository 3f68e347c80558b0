"""Secrets as an API server keeps them."""

from __future__ import annotations

import base64
import copy

from ansible.module_utils.groundwork.kubernetes.cluster import KubernetesError, Object


class Server:
    """stringData becomes data, and who replaces says what was there."""

    def __init__(self) -> None:
        self.secrets: dict[str, Object] = {}
        self.version = 0

    def get(self, path: str, **_query: str) -> Object:
        if path not in self.secrets:
            raise KubernetesError("not found", "", 404)
        return copy.deepcopy(self.secrets[path])

    def create(self, path: str, body: Object) -> Object:
        return self._keep(f"{path}/{body['metadata']['name']}", body)

    def replace(self, path: str, body: Object) -> Object:
        if body["metadata"]["resourceVersion"] != self.secrets[path]["metadata"]["resourceVersion"]:
            raise KubernetesError("the object has been modified", "Run again.", 409)
        return self._keep(path, body)

    def _keep(self, path: str, body: Object) -> Object:
        self.version += 1
        data = {key: base64.b64encode(text.encode()).decode() for key, text in body["stringData"].items()}
        self.secrets[path] = {"metadata": {**body["metadata"], "resourceVersion": str(self.version)}, "data": data}
        return self.secrets[path]
