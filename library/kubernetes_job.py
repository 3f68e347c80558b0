#!/usr/bin/python
"""Ansible module kubernetes_job."""

from __future__ import annotations

DOCUMENTATION = """
module: kubernetes_job
short_description: Run a Job to its end
description:
  - Runs it, waits for its end, and removes it with its pods. Fails with its containers' last lines where it fails.
  - A Job of that name that is left from an interrupted run goes first. In check mode nothing is run.
options:
  definition:
    description: The Job as in YAML, with its name and namespace.
    type: dict
    required: true
  kubeconfig:
    description: The way to the API server.
    type: path
    default: /var/snap/microk8s/current/credentials/client.config
  timeout_seconds:
    description: How long it may take, pulling its images included.
    type: float
    default: 600
notes:
  - Needs the kubernetes package beside the interpreter.
author: Groundwork
"""

EXAMPLES = """
- name: Dump every database
  kubernetes_job:
    definition: "{{ lookup('ansible.builtin.template', 'dump.yml.j2') | from_yaml }}"
  register: __postgresql_dumped
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"
"""

RETURN = """
said:
  description: What its containers wrote, by their names.
  returned: success
  type: dict
  sample: {keep: "kept mlflow/20260102T030405Z.dump, 10240 bytes"}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.errors import GroundworkError
from ansible.module_utils.groundwork.kubernetes import job
from ansible.module_utils.groundwork.kubernetes.cluster import PROGRAM, Client
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.waiting import Waiter


def main() -> None:
    """Run and exit."""
    module = AnsibleModule(
        argument_spec={
            "definition": {"type": "dict", "required": True},
            "kubeconfig": {"type": "path", "default": "/var/snap/microk8s/current/credentials/client.config"},
            "timeout_seconds": {"type": "float", "default": 600.0},
        },
        supports_check_mode=True,
    )
    given = module.params

    def work() -> dict[str, object]:
        if module.check_mode:
            return {"changed": True, "said": {}}
        cluster = Client(given["kubeconfig"], PROGRAM)
        ended = job.run(cluster, given["definition"], Waiter(given["timeout_seconds"]))
        if not ended.succeeded:
            name = given["definition"]["metadata"]["name"]
            raise GroundworkError(f"Job {name} failed: {ended.last_lines}", "Mend what it says, and run it again.")
        return {"changed": True, "said": dict(ended.said)}

    finish(module, work)


if __name__ == "__main__":
    main()
