"""Asking the API server: by kubectl, and by HTTP where that is asked every other second."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from . import node, system


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """Run kubectl as the administrator.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    return system.run(*kubectl_words(), *arguments, stdin=stdin)


def kubectl_words() -> list[str]:
    """The command kubectl with the administrator's kubeconfig."""
    return [str(node.snap() / "kubectl"), f"--kubeconfig={node.credential('client.config')}"]


def apply(manifest: str) -> None:
    """Apply a manifest."""
    kubectl("apply", "-f", "-", stdin=manifest)


def is_ready(with_node: bool = True) -> bool:
    """MicroK8s's idea of running: the Service `kubernetes` is there and some node is ` Ready ` [is_cluster_ready]."""
    try:
        found = "service/kubernetes" in kubectl("get", "all", "--all-namespaces")
        return found and (not with_node or " Ready " in kubectl("get", "nodes", "--all-namespaces"))
    except subprocess.CalledProcessError:
        return False


def wait_until_ready(timeout: float, with_node: bool = True) -> bool:
    """Wait for that, at most `timeout` seconds; 0 waits for ever."""
    return node.wait_for(lambda: is_ready(with_node), timeout or float("inf"), interval=node.PAUSE_SECONDS)


def is_live() -> bool:
    """Whether this node's API server says it is ready [is_apiserver_ready]."""
    try:
        return bool(Api(node.credential("client.config")).get("/readyz") == "ok")
    except (OSError, http.client.HTTPException):
        return False


class Api:
    """The API server that a kubeconfig names.

    Args:
        kubeconfig: one of MicroK8s's, with the certificate in it.
    """

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=_text(cluster["certificate-authority-data"]))
        with tempfile.NamedTemporaryFile("w") as pair:  # ssl loads a client's certificate from a file only
            pair.write(_text(user["client-certificate-data"]) + _text(user["client-key-data"]))
            pair.flush()
            context.load_cert_chain(pair.name)
        host, _, port = cluster["server"].removeprefix("https://").partition(":")
        self._connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=10)

    def get(self, path: str) -> Any:
        """What is at a path: parsed, if it is JSON.

        Raises:
            OSError: it does not answer, or with an error.
        """
        try:
            self._connection.request("GET", path)
            answer = self._connection.getresponse()
            body = answer.read().decode()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        if answer.status != http.HTTPStatus.OK:
            raise OSError(f"{path}: {answer.status}")
        return json.loads(body) if answer.headers.get_content_type() == "application/json" else body


def internal_address(item: dict[str, Any]) -> str:
    """A Node's InternalIP, or nothing."""
    listed: Sequence[dict[str, str]] = item.get("status", {}).get("addresses", [])
    return next((each["address"] for each in listed if each["type"] == "InternalIP"), "")


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()
