#!/usr/bin/python
"""Ansible module microk8s_info."""

from __future__ import annotations

DOCUMENTATION = """
module: microk8s_info
short_description: What MicroK8s is on this host, and how its cluster is
description:
  - Reads the snap, the node's part in the cluster, its Kubernetes nodes, C(microk8s status), and the days that
    certificates have left.
  - Believes what commands print, never their exit codes, which MicroK8s gives as 0 on workers and when stopped.
  - Never changes anything.
options:
  gather:
    description:
      - What to read beside the snap and the node's locks.
      - C(status) takes seconds, and a minute when the datastore is away.
    type: list
    elements: str
    choices: [certificates, nodes, status]
    default: [certificates, nodes, status]
  timeout_seconds:
    description: How long each command may take.
    type: float
    default: 90
notes:
  - C(status) needs PyYAML beside the interpreter.
  - On a worker C(nodes) holds its own node alone, and C(status) a message; ask a control plane for the rest.
author: Groundwork
"""

EXAMPLES = """
- name: Read what MicroK8s is here
  microk8s_info:
    gather: [nodes]
  register: __microk8s

- name: Wait until this node is Ready
  microk8s_info:
    gather: [nodes]
  register: __microk8s
  until: __microk8s.node.ready | default(false)
  retries: 60
  delay: 2
"""

RETURN = """
installed:
  description: Whether the snap is there.
  returned: always
  type: bool
snap:
  description: The snap; null where there is none. C(channel) is null for a snap installed from a file without one.
  returned: always
  type: dict
  sample: {version: v1.36.1, revision: "9001", channel: 1.36/stable, held: true, disabled: false,
    notes: [classic, held]}
running:
  description: Whether kubelite is active and nobody called C(microk8s stop).
  returned: always
  type: bool
role:
  description: What this node is, C(control_plane) or C(worker); null where MicroK8s is not installed.
  returned: always
  type: str
clustered:
  description: Whether it has joined a cluster or was joined by others.
  returned: always
  type: bool
join_in_progress:
  description: Whether a join began and did not succeed.
  returned: always
  type: bool
stopped:
  description: Whether C(microk8s stop) was called.
  returned: always
  type: bool
node_name:
  description: The name of this host's Kubernetes node.
  returned: always
  type: str
node:
  description: This host's node; null where it is not there, or the API does not answer (then C(nodes_error) says why).
  returned: always
  type: dict
  sample: {name: n1, ready: true, schedulable: true, role: control_plane, internal_ip: 10.77.0.11,
    kubelet_version: v1.36.1, container_runtime: "containerd://2.2.3", reason: KubeletReady,
    message: kubelet is posting ready status}
nodes:
  description: All nodes on a control plane, its own on a worker; like C(node).
  returned: always
  type: list
  elements: dict
nodes_error:
  description: What stood in the way of reading nodes, else null.
  returned: always
  type: str
status:
  description:
    - C(microk8s status); null where it was not gathered.
    - C(running) there means that the API answers and that some node is Ready.
    - C(message) is the text of a node that is not running, or of a worker.
  returned: always
  type: dict
  sample:
    running: true
    message: null
    high_availability: false
    datastore: [{address: "10.77.0.11:19001", role: voter}]
    addons: [{name: dns, repository: core, version: 1.14.7, enabled: true}]
datastore:
  description: The addresses of the datastore's members by their part.
  returned: always
  type: dict
  sample: {voters: ["10.77.0.11:19001"], standbys: [], spares: []}
addons_enabled:
  description: The names of enabled addons.
  returned: always
  type: list
  elements: str
certificates:
  description: The end of each certificate under certs/.
  returned: always
  type: list
  elements: dict
  sample: [{name: server, expires: "2027-11-20T10:00:00+00:00", days_left: 364}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.command import run
from ansible.module_utils.groundwork.microk8s.observe import PARTS, observe
from ansible.module_utils.groundwork.microk8s.paths import Paths
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Observe MicroK8s and exit."""
    module = AnsibleModule(
        argument_spec={
            "gather": {"type": "list", "elements": "str", "choices": list(PARTS), "default": list(PARTS)},
            "timeout_seconds": {"type": "float", "default": 90.0},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    finish(module, lambda: observe(run, Paths(), parameters["gather"], parameters["timeout_seconds"]).to_dict())


if __name__ == "__main__":
    main()
