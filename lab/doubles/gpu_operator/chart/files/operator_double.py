"""Plays NVIDIA's operator: where there is a ClusterPolicy, nodes with GPUs are labelled, and operands are made that it owns.

The labels are those of gpuStateLabels, and the operands have the names of assets/, in NVIDIA/gpu-operator. Finalizers that a
test puts on the policy are taken away once it is to go.
"""

import json
import os
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path

SECRETS = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NAMESPACE = os.environ["NAMESPACE"]
POLICIES = "/apis/nvidia.com/v1/clusterpolicies"
DAEMONSETS = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets"
LABELS = {
    "nvidia.com/gpu.present": "true",
    "nvidia.com/gpu.deploy.driver": "pre-installed",
    "nvidia.com/mig.config": "all-disabled",
    **{f"nvidia.com/gpu.deploy.{part}": "true" for part in ("container-toolkit", "device-plugin", "operator-validator")},
}
ARGS = "/var/snap/microk8s/current/args"
TOOLKIT = "/usr/local/nvidia/toolkit"


def call(method, path, body=None, kind="application/json"):
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
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code in (404, 409):
            return None
        raise


def path(name, where, read_only=False):
    """A mount and its volume, a folder of the host's."""
    return {"name": name, "mountPath": where, "readOnly": read_only}, {"name": name, "hostPath": {"path": where}}


def daemonset(name, container, mounts, **pod):
    """An operand as the operator makes it."""
    labels = {"app": name, "app.kubernetes.io/managed-by": "gpu-operator"}
    part = name.removeprefix("nvidia-").removesuffix("-daemonset")
    template = {
        "nodeSelector": {f"nvidia.com/gpu.deploy.{part}": "true"},
        "terminationGracePeriodSeconds": 20,
        "containers": [{**container, "name": name, "volumeMounts": [mount for mount, _ in mounts]}],
        "volumes": [volume for _, volume in mounts] + pod.pop("volumes", []),
        **pod,
    }
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    selector = {"matchLabels": {"app": name}}
    spec = {"selector": selector, "template": {"metadata": {"labels": labels}, "spec": template}}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": spec}


def operands():
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
            [programs, path("args", ARGS), run, path("toolkit", TOOLKIT, read_only=True), path("run-nvidia", "/run/nvidia")],
            hostPID=True,
        ),
        daemonset(
            "nvidia-device-plugin-daemonset",
            plugin,
            [path("device-plugins", "/var/lib/kubelet/device-plugins")],
            runtimeClassName="nvidia",
        ),
    ]


def reconcile(policy):
    """Make what the policy asks for."""
    owner = {key: policy["metadata"][key] for key in ("name", "uid")}
    owners = [{"apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy", "controller": True, **owner}]
    for node in os.environ["GPU_NODES"].split():
        call("PATCH", f"/api/v1/nodes/{node}", {"metadata": {"labels": LABELS}}, "application/merge-patch+json")
    metadata = {"name": "nvidia", "labels": {"app.kubernetes.io/component": "gpu-operator"}, "ownerReferences": owners}
    runtime = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": metadata, "handler": "nvidia"}
    call("POST", "/apis/node.k8s.io/v1/runtimeclasses", runtime)
    for operand in operands():
        operand["metadata"]["ownerReferences"] = owners
        call("POST", DAEMONSETS, operand)


def main():
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


main()
