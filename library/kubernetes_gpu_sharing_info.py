#!/usr/bin/python
"""Ansible module kubernetes_gpu_sharing_info."""

from __future__ import annotations

DOCUMENTATION = """
module: kubernetes_gpu_sharing_info
short_description: What a configuration of NVIDIA's device plugin has a node offer
description:
  - Judges the configurations of the device plugin before it reads them, since it passes over what it does not know.
  - Tells which of a node's GPUs and MIG devices stand behind each resource, and how often each is offered.
  - Asks neither the driver nor the cluster, and never changes anything.
options:
  configurations:
    description: The plugin's configurations by name, each as in its own documentation, C(version) V(v1).
    type: dict
    required: true
  selected:
    description: The name of the node's configuration.
    type: str
    required: true
  resources:
    description:
      - What NVML sees on the node, C(resources) of M(nvidia_gpu_info).
      - Without it the configurations are judged, and C(checks) say so; with it one that is wrong is a failure.
    type: dict
author: Groundwork
"""

EXAMPLES = """
- name: Tell what a node with two GPUs, each shared by four, offers
  kubernetes_gpu_sharing_info:
    selected: shared
    configurations:
      default: {version: v1, flags: {migStrategy: mixed}}
      shared:
        version: v1
        flags: {migStrategy: mixed}
        sharing:
          timeSlicing:
            renameByDefault: true
            resources:
              - {name: nvidia.com/gpu, replicas: 4}
    resources:
      nvidia.com/gpu: [GPU-1f0e8bd5-1c9e-5cb5-9d4c-0d5c51a5b0a1, GPU-41b3a1f2-5d0e-5f3c-8d6b-3e1f0a9c7b52]
"""

RETURN = """
checks:
  description: C(gpu_device_plugin.configuration_is_valid) and C(gpu_device_plugin.shares_have_their_own_name).
  returned: always
  type: list
  elements: dict
  sample:
    - {name: gpu_device_plugin.configuration_is_valid, status: ok, observed: shared shares nvidia.com/gpu 4 times,
       wanted: shared shares nvidia.com/gpu 4 times, remedy: ""}
offered:
  description: The UUIDs behind each resource, each as often as it is offered; empty without O(resources).
  returned: always
  type: dict
  sample: {nvidia.com/gpu: [], nvidia.com/gpu.shared: [GPU-1f0e8bd5-…, GPU-1f0e8bd5-…]}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.kubernetes.sharing import check, select
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Judge, tell and exit."""
    module = AnsibleModule(
        argument_spec={
            "configurations": {"type": "dict", "required": True},
            "selected": {"type": "str", "required": True},
            "resources": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    configurations, selected = module.params["configurations"], module.params["selected"]
    resources = module.params["resources"]

    def work() -> dict[str, object]:
        checks = [verdict.to_dict() for verdict in check(configurations, selected)]
        offered = {} if resources is None else select(configurations, selected).offered(resources)
        return {"checks": checks, "offered": offered}

    finish(module, work)


if __name__ == "__main__":
    main()
