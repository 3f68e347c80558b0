#!/usr/bin/python
"""Ansible module kubernetes_gpu_offer."""

from __future__ import annotations

DOCUMENTATION = """
module: kubernetes_gpu_offer
short_description: Have Kubernetes offer as many GPUs as NVML sees, on every node
description:
  - Waits until each node's allocatable GPUs are as many as NVML sees on its host.
  - Where the device plugin runs and offers something else, its pod is deleted, so that it starts again and looks at the
    GPUs anew; it looks at its start only. Pods that hold GPUs keep them.
  - Fails where a node still offers something else.
options:
  nodes:
    description: The UUIDs that NVML sees, by the node's name and the resource; M(kubernetes_gpu_verify) takes the same.
    type: dict
    required: true
  namespace:
    description: The namespace of the device plugin.
    type: str
    required: true
  daemonset:
    description: The DaemonSet of the device plugin.
    type: str
    required: true
  kubeconfig:
    description: The way to the API server.
    type: path
    default: /var/snap/microk8s/current/credentials/client.config
  patience_seconds:
    description: How long a plugin that runs may offer something else before it is started again.
    type: float
    default: 20
  labels:
    description: Whether to wait for the labels that count MIG devices as well, which feature discovery sets.
    type: bool
    default: false
  timeout_seconds:
    description: How long the plugin may take to start, the pull of its image included.
    type: float
    default: 300
notes:
  - Needs the kubernetes package beside the interpreter.
author: Groundwork
"""

EXAMPLES = """
- name: Wait until Kubernetes offers every GPU that NVML sees
  kubernetes_gpu_offer:
    nodes:
      n2: {nvidia.com/gpu: [GPU-1f0e8bd5-1c9e-5cb5-9d4c-0d5c51a5b0a1]}
    namespace: nvidia-device-plugin
    daemonset: nvidia-device-plugin
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"
"""

RETURN = """
restarted:
  description: The nodes whose device plugin was started again, or in check mode would be.
  returned: success
  type: list
  elements: str
diff:
  description: What the nodes offered, and offer.
  returned: success
  type: dict
  sample:
    before: "n2 offers 1 of 2 GPUs\\n"
    after: "n2 offers 2 of 2 GPUs\\n"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.kubernetes import offer
from ansible.module_utils.groundwork.kubernetes.cluster import PROGRAM, Client
from ansible.module_utils.groundwork.kubernetes.gpus import Wanted
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.waiting import Waiter


def main() -> None:
    """Wait, start plugins again where they must, and exit."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "dict", "required": True},
            "namespace": {"type": "str", "required": True},
            "daemonset": {"type": "str", "required": True},
            "kubeconfig": {"type": "path", "default": "/var/snap/microk8s/current/credentials/client.config"},
            "patience_seconds": {"type": "float", "default": 20.0},
            "labels": {"type": "bool", "default": False},
            "timeout_seconds": {"type": "float", "default": 300.0},
        },
        supports_check_mode=True,
    )
    given = module.params

    def work() -> dict[str, object]:
        cluster = Client(given["kubeconfig"], PROGRAM)
        wanted = Wanted(given["nodes"], image="")
        plugin = offer.Plugin(given["namespace"], given["daemonset"])
        before = offer.offers(cluster, wanted, plugin)
        if module.check_mode:
            restarted = list(offer.stale(before))
            after = [each.healed() if each.node in restarted else each for each in before]
        else:
            patience, waiter = Waiter(given["patience_seconds"]), Waiter(given["timeout_seconds"])
            restarted, after = offer.settle(cluster, wanted, plugin, waiter, patience)
            if given["labels"]:
                offer.await_labels(cluster, wanted, waiter)
        diff = {"before": _lines(before), "after": _lines(after)}
        return {"changed": bool(restarted), "restarted": restarted, "diff": diff}

    finish(module, work)


def _lines(offers: list[offer.Offer]) -> str:
    return "".join(f"{each}\n" for each in offers)


if __name__ == "__main__":
    main()
