#!/usr/bin/python
"""Ansible module ray_verify."""

from __future__ import annotations

DOCUMENTATION = """
module: ray_verify
short_description: Judge Ray as somebody outside does, with the token and without it
description:
  - Asks through its entrance, with the token and the authority out of their Secrets.
  - Requests without the token must be refused. A job that asks for GPUs must get a worker that has them, and no more.
  - Where every GPU is in use, the proof is skipped.
  - Returns checks and does not fail because of them. Never counts as a change.
options:
  address:
    description: Address of the node whose port is asked. Where the entrance has no port of the nodes, its Service is.
    type: str
    required: true
  gpus:
    description: GPUs of a worker.
    type: int
    required: true
  resource:
    description: What a GPU is called in Kubernetes.
    type: str
    default: nvidia.com/gpu
  namespace:
    description: The namespace of Ray.
    type: str
    default: ray
  cluster:
    description: The RayCluster, whose own workers' GPUs are its to use.
    type: str
    default: ray
  proofs:
    description:
      - When to run a job, C(always), where what is proved C(changed) since the last proof that held, or C(never).
      - What is not proved is skipped, or as C(proof_file) tells. In check mode it is never.
    type: str
    choices: [always, changed, never]
    default: always
  proof_file:
    description: Where the last proof that held is remembered; without it none is.
    type: path
  proof_subject:
    description: What else the proof is about; a change of it asks for a new one.
    type: raw
  kubeconfig:
    description: The way to the API server.
    type: path
    default: /var/snap/microk8s/current/credentials/client.config
  timeout_seconds:
    description: How long the job may take, the start of a worker and the pull of its image included.
    type: float
    default: 600
notes:
  - Needs the kubernetes package beside the interpreter.
author: Groundwork
"""

EXAMPLES = """
- name: Prove that a job gets its GPU
  ray_verify:
    address: 192.0.2.11
    gpus: 1
  register: __ray_verified
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"
"""

RETURN = """
checks:
  description: C(ray.answers), C(ray.refuses_strangers) and C(ray.job_gets_its_gpus).
  returned: success
  type: list
  elements: dict
  sample:
    - {name: ray.refuses_strangers, status: ok, observed: nothing is told or run without the token,
      wanted: every request without the token is refused, remedy: ""}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork import proofs
from ansible.module_utils.groundwork.check import Check, failed, skipped
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes.cluster import PROGRAM, Client
from ansible.module_utils.groundwork.kubernetes.gpus import room
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.ray.client import find
from ansible.module_utils.groundwork.ray.verify import ANSWERS, PROVED, REFUSES, Wanted, look, prove
from ansible.module_utils.groundwork.waiting import Waiter

READY_SECONDS = 120.0


def main() -> None:
    """Judge and exit."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "gpus": {"type": "int", "required": True},
            "resource": {"type": "str", "default": "nvidia.com/gpu"},
            "namespace": {"type": "str", "default": "ray"},
            "cluster": {"type": "str", "default": "ray"},
            **proofs.OPTIONS,
            "kubeconfig": {"type": "path", "default": "/var/snap/microk8s/current/credentials/client.config"},
            "timeout_seconds": {"type": "float", "default": 600.0},
        },
        supports_check_mode=True,
    )
    given = module.params

    def checks() -> list[Check]:
        cluster = Client(given["kubeconfig"], PROGRAM)
        try:
            dashboard, token = find(cluster, given["namespace"], given["address"])
        except GroundworkError as error:
            missing = failed(ANSWERS, error.message, "Ray answers", "Run playbooks/platform.yml.")
            return [missing, skipped(REFUSES, "there is no Ray"), skipped(PROVED, "there is no Ray")]
        found = look(dashboard, token, Waiter(READY_SECONDS))
        if any(check.status == "failed" for check in found):
            return [*found, skipped(PROVED, "Ray is not as it should be")]
        ours = f"{given['namespace']}/{given['cluster']}-workers-"
        wanted = Wanted(given["gpus"], lambda: room(cluster, given["resource"], given["gpus"], ours))
        waiter = Waiter(given["timeout_seconds"])
        return [*found, *proofs.ask(module, [PROVED], lambda: prove(dashboard, token, wanted, waiter))]

    finish(module, lambda: {"checks": [check.to_dict() for check in checks()]})


if __name__ == "__main__":
    main()
