"""Pods of the tests' own on a site, each of the image that proofs use, and one program of Python."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from site_under_test import Site

IMAGE = "docker.io/library/python:3.11-slim-bookworm"
WAITS = "import signal; signal.pause()"
Manifest = dict[str, Any]


def pod(
    name: str,
    program: str = WAITS,
    node: str = "",
    resource: str = "",
    namespace: str = "default",
    container: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Manifest:
    """A pod of one container, on a node if one is named, with one of a resource if one is named."""
    main = {"name": "main", "image": IMAGE, "command": ["python3", "-c", program], **(container or {})}
    if resource:
        main["resources"] = {"limits": {resource: "1"}}
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"terminationGracePeriodSeconds": 1, "restartPolicy": "Never", "containers": [main], **spec},
    }


def apply(site: Site, *manifests: Manifest) -> None:
    """Have Kubernetes make what manifests say."""
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    site.lab.shell("n1", f"/snap/bin/microk8s kubectl apply -f - << 'END'\n{listed}\nEND")


def start(site: Site, *pods: Manifest) -> None:
    """Make pods of one namespace, and wait until they run."""
    apply(site, *pods)
    names = [f"pod/{each['metadata']['name']}" for each in pods]
    namespace = pods[0]["metadata"]["namespace"]
    site.kubectl("wait", "-n", namespace, "--for=condition=Ready", *names, "--timeout=120s", timeout=150)


def said(site: Site, name: str) -> str:
    """What a pod printed, once it has ended well."""
    ended = "--for=jsonpath={.status.phase}=Succeeded"
    site.kubectl("wait", ended, f"pod/{name}", "--timeout=120s", timeout=150)
    return site.kubectl("logs", name).strip()


def delete(site: Site, *names: str, namespace: str = "default") -> None:
    """Remove pods, those that are there, and wait until they are gone."""
    site.kubectl("delete", "pod", "-n", namespace, *names, "--ignore-not-found", "--wait=true", timeout=150)


def claim(name: str, storage_class: str = "shared", mode: str = "ReadWriteMany") -> Manifest:
    """A small volume of a storage class."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "storageClassName": storage_class,
            "accessModes": [mode],
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }


def with_volume(name: str) -> Manifest:
    """What a pod says that has a claim's volume at /data, and is an ordinary user."""
    return {
        "securityContext": {"runAsUser": 1000, "runAsGroup": 1000},
        "container": {"volumeMounts": [{"name": "data", "mountPath": "/data"}]},
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}],
    }
