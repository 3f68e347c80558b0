"""Plays NVIDIA's operator: where there is a ClusterPolicy, nodes with GPUs are labelled, and operands made.

The labels are those of gpuStateLabels, and the operands have the names of assets/, in NVIDIA/gpu-operator. Finalizers
that a test puts on the policy are taken away once it is to go.
"""

from __future__ import annotations

import json
import os
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

Object = dict[str, Any]
Mounted = tuple[Object, Object]
SECRETS = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NAMESPACE = os.environ.get("NAMESPACE", "gpu-operator-resources")
POLICIES = "/apis/nvidia.com/v1/clusterpolicies"
DAEMONSETS = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets"
LABELS = {
    "nvidia.com/gpu.present": "true",
    "nvidia.com/gpu.deploy.driver": "pre-installed",
    "nvidia.com/mig.config": "all-disabled",
    "nvidia.com/gpu.deploy.container-toolkit": "true",
    "nvidia.com/gpu.deploy.device-plugin": "true",
    "nvidia.com/gpu.deploy.operator-validator": "true",
}
ARGS = "/var/snap/microk8s/current/args"
TOOLKIT = "/usr/local/nvidia/toolkit"


def call(method: str, path: str, body: Object | None = None, kind: str = "application/json") -> Object | None:
    """What the API server answers; None where there is no such object."""
    request = urllib.request.Request(
        f"https://kubernetes.default.svc{path}",
        method=method,
        data=json.dumps(body).encode() if body else None,
        headers={"Authorization": f"Bearer {(SECRETS / 'token').read_text()}", "Content-Type": kind},
    )
    context = ssl.create_default_context(cafile=str(SECRETS / "ca.crt"))
    try:
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            found: Object = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        if error.code in (404, 409):
            return None
        raise


def path(name: str, where: str, read_only: bool = False) -> Mounted:
    """A mount and its volume, a folder of the host's."""
    return {"name": name, "mountPath": where, "readOnly": read_only}, {"name": name, "hostPath": {"path": where}}


def daemonset(name: str, container: Object, mounts: list[Mounted], **pod: object) -> Object:
    """An operand as the operator makes it."""
    labels = {"app": name, "app.kubernetes.io/managed-by": "gpu-operator"}
    part = name.removeprefix("nvidia-").removesuffix("-daemonset")
    template = {
        "nodeSelector": {f"nvidia.com/gpu.deploy.{part}": "true"},
        "terminationGracePeriodSeconds": 20,
        "containers": [{**container, "name": name, "volumeMounts": [mount for mount, _ in mounts]}],
        "volumes": [volume for _, volume in mounts],
        **pod,
    }
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    selector = {"matchLabels": {"app": name}}
    spec = {"selector": selector, "template": {"metadata": {"labels": labels}, "spec": template}}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": spec}


def operands() -> list[Object]:
    """The toolkit's, and the device plugin's, which is NVIDIA's own."""
    privileged = {"securityContext": {"privileged": True}}
    programs = ({"name": "programs", "mountPath": "/programs"}, {"name": "programs", "configMap": {"name": "programs"}})
    run = path("run", "/var/snap/microk8s/common/run")
    toolkit = {"image": os.environ["IMAGE"], "command": ["python3", "-u", "/programs/toolkit_double.py"], **privileged}
    plugin = {"image": os.environ["DEVICE_PLUGIN_IMAGE"], **privileged}
    return [
        daemonset(
            "nvidia-container-toolkit-daemonset",
            toolkit,
            [programs, run, path("args", ARGS), path("toolkit", TOOLKIT, True), path("run-nvidia", "/run/nvidia")],
            hostPID=True,
        ),
        daemonset(
            "nvidia-device-plugin-daemonset",
            plugin,
            [path("device-plugins", "/var/lib/kubelet/device-plugins")],
            runtimeClassName="nvidia",
        ),
    ]


def reconcile(policy: Object) -> None:
    """Make what the policy asks for."""
    owner = {key: policy["metadata"][key] for key in ("name", "uid")}
    owners = [{"apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy", "controller": True, **owner}]
    for node in os.environ["GPU_NODES"].split():
        call("PATCH", f"/api/v1/nodes/{node}", {"metadata": {"labels": LABELS}}, "application/merge-patch+json")
    labels = {"app.kubernetes.io/component": "gpu-operator"}
    metadata = {"name": "nvidia", "labels": labels, "ownerReferences": owners}
    runtime = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": metadata, "handler": "nvidia"}
    call("POST", "/apis/node.k8s.io/v1/runtimeclasses", runtime)
    for operand in operands():
        operand["metadata"]["ownerReferences"] = owners
        call("POST", DAEMONSETS, operand)


def main() -> None:
    """For ever."""
    while True:
        try:
            for policy in (call("GET", POLICIES) or {"items": []})["items"]:
                where = f"{POLICIES}/{policy['metadata']['name']}"
                if "deletionTimestamp" not in policy["metadata"]:
                    reconcile(policy)
                elif policy["metadata"].get("finalizers"):
                    call("PATCH", where, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
        except OSError as error:
            print(error)
        time.sleep(2)


if __name__ == "__main__":
    main()
