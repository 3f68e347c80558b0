#!/usr/bin/python
"""Ansible module kubernetes_job_verify."""

from __future__ import annotations

DOCUMENTATION = """
module: kubernetes_job_verify
short_description: Prove something by a Job that succeeds or fails
description:
  - Runs the Job to its end and removes it; what its last container wrote last is what was observed.
  - Returns a check and does not fail because of it. Never counts as a change.
options:
  name:
    description: The check's name.
    type: str
    required: true
  definition:
    description: The Job as in YAML, with its name and namespace.
    type: dict
    required: true
  wanted:
    description: What the check wants, in words.
    type: str
    required: true
  remedy:
    description: What to do where the Job fails.
    type: str
    required: true
  proofs:
    description:
      - When to run it, C(always), where what is proved C(changed) since the last proof that held, or C(never).
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
    description: How long it may take, pulling its images included.
    type: float
    default: 180
notes:
  - Needs the kubernetes package beside the interpreter.
author: Groundwork
"""

EXAMPLES = """
- name: Prove that PostgreSQL keeps rows
  kubernetes_job_verify:
    name: postgresql.keeps_rows
    definition: "{{ lookup('ansible.builtin.template', 'prove.yml.j2') | from_yaml }}"
    wanted: a row is written, read back and the same
    remedy: See the log of the pod postgresql-1.
  register: __postgresql_verified
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"
"""

RETURN = """
checks:
  description: The check.
  returned: success
  type: list
  elements: dict
  sample:
    - {name: postgresql.keeps_rows, status: ok, observed: a row was written and read,
      wanted: "a row is written, read back and the same", remedy: ""}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork import proofs
from ansible.module_utils.groundwork.check import Check, judge
from ansible.module_utils.groundwork.kubernetes import job
from ansible.module_utils.groundwork.kubernetes.cluster import PROGRAM, Client
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.waiting import Waiter


def main() -> None:
    """Prove and exit."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "definition": {"type": "dict", "required": True},
            "wanted": {"type": "str", "required": True},
            "remedy": {"type": "str", "required": True},
            **proofs.OPTIONS,
            "kubeconfig": {"type": "path", "default": "/var/snap/microk8s/current/credentials/client.config"},
            "timeout_seconds": {"type": "float", "default": 180.0},
        },
        supports_check_mode=True,
    )
    given = module.params

    def prove() -> list[Check]:
        cluster = Client(given["kubeconfig"], PROGRAM)
        ended = job.run(cluster, given["definition"], Waiter(given["timeout_seconds"]))
        observed = ended.last_lines.splitlines()[-1:] if ended.succeeded else [ended.last_lines]
        return [judge(given["name"], ended.succeeded, "".join(observed), given["wanted"], given["remedy"])]

    finish(module, lambda: {"checks": [check.to_dict() for check in proofs.ask(module, [given["name"]], prove)]})


if __name__ == "__main__":
    main()
