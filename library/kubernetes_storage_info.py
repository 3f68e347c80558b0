#!/usr/bin/python
"""Ansible module kubernetes_storage_info."""

from __future__ import annotations

DOCUMENTATION = """
module: kubernetes_storage_info
short_description: What the file system behind a storage class can do
description:
  - Claims a small volume and asks a pod that has it. Both go at the end, also after a failure or an interruption.
  - Never counts as a change. In check mode nothing is asked.
options:
  storage_class:
    description: The class to look at.
    type: str
    required: true
  shared:
    description: Whether the volume is claimed for pods of all nodes, C(ReadWriteMany).
    type: bool
    default: false
  node:
    description: The name of the node whose pod looks.
    type: str
    required: true
  image:
    description: An image with C(python3); what it runs comes from this module.
    type: str
    default: docker.io/library/python:3.11-slim-bookworm
  namespace:
    description: The namespace for the pod; it must not exist, or be Groundwork's.
    type: str
    default: groundwork-verify-storage
  kubeconfig:
    description: The way to the API server.
    type: path
    default: /var/snap/microk8s/current/credentials/client.config
  timeout_seconds:
    description: How long each step may take; pulling the image is part of the first.
    type: float
    default: 120
notes:
  - Needs the kubernetes package beside the interpreter.
author: Groundwork
"""

EXAMPLES = """
- name: Look at the shared class
  kubernetes_storage_info:
    storage_class: shared
    shared: true
    node: n1
  register: __object_store_volume
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"
"""

RETURN = """
extended_attributes:
  description: Whether files keep extended attributes; null in check mode.
  returned: success
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.kubernetes.cluster import PROGRAM, Client
from ansible.module_utils.groundwork.kubernetes.storage import Wanted, keeps_attributes
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.waiting import Waiter


def main() -> None:
    """Look and exit."""
    module = AnsibleModule(
        argument_spec={
            "storage_class": {"type": "str", "required": True},
            "shared": {"type": "bool", "default": False},
            "node": {"type": "str", "required": True},
            "image": {"type": "str", "default": "docker.io/library/python:3.11-slim-bookworm"},
            "namespace": {"type": "str", "default": "groundwork-verify-storage"},
            "kubeconfig": {"type": "path", "default": "/var/snap/microk8s/current/credentials/client.config"},
            "timeout_seconds": {"type": "float", "default": 120.0},
        },
        supports_check_mode=True,
    )
    given = module.params

    def work() -> dict[str, object]:
        if module.check_mode:
            return {"extended_attributes": None}
        names = ("storage_class", "shared", "image", "namespace")
        wanted = Wanted(**{name: given[name] for name in names}, nodes=[given["node"]])
        cluster = Client(given["kubeconfig"], PROGRAM)
        return {"extended_attributes": keeps_attributes(cluster, wanted, Waiter(given["timeout_seconds"]))}

    finish(module, work)


if __name__ == "__main__":
    main()
