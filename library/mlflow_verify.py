#!/usr/bin/python
"""Ansible module mlflow_verify."""

from __future__ import annotations

DOCUMENTATION = """
module: mlflow_verify
short_description: Judge an MLflow server from outside, with a login and without one
description:
  - Logs a run with a metric and an artifact, reads both back, registers a model and deletes it.
  - Every part of the server must refuse who has no login, and be called by no names but its own.
  - Returns checks and does not fail because of them. Never counts as a change. In check mode nothing is logged.
options:
  endpoint:
    description: The server's URL without a path.
    type: str
    required: true
  authority:
    description: Certificate of the endpoint's authority, in PEM.
    type: str
    required: true
  username:
    description: Whose experiment C(groundwork-verify) the run is logged to.
    type: str
    required: true
  password:
    description: Their password.
    type: str
    required: true
  version:
    description: The version that should answer.
    type: str
    required: true
  hosts:
    description: The names that clients call the server by, with ports where they say them.
    type: list
    elements: str
    default: []
  timeout_seconds:
    description: How long an answer may take.
    type: float
    default: 30
author: Groundwork
"""

EXAMPLES = """
- name: Log a run as an outsider would
  mlflow_verify:
    endpoint: https://192.0.2.11:30500
    authority: "{{ lookup('ansible.builtin.file', 'ca.crt') }}"
    username: groundwork-verify
    password: "{{ vault_mlflow_password }}"
    version: 3.17.2
    hosts: [mlflow.mlflow.svc]
  register: __mlflow_verified
"""

RETURN = """
checks:
  description:
    - C(mlflow.answers), C(mlflow.version_is_wanted), C(mlflow.knows_its_names), C(mlflow.refuses_strangers) and
      C(mlflow.keeps_runs).
  returned: success
  type: list
  elements: dict
  sample:
    - {name: mlflow.version_is_wanted, status: ok, observed: MLflow 3.17.2, wanted: MLflow 3.17.2, remedy: ""}
version:
  description: The server's version, empty where it does not answer.
  returned: success
  type: str
  sample: 3.17.2
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.mlflow.client import Client, Login
from ansible.module_utils.groundwork.mlflow.verify import Wanted, verify
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Judge and exit."""
    module = AnsibleModule(
        argument_spec={
            "endpoint": {"type": "str", "required": True},
            "authority": {"type": "str", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "version": {"type": "str", "required": True},
            "hosts": {"type": "list", "elements": "str", "default": []},
            "timeout_seconds": {"type": "float", "default": 30.0},
        },
        supports_check_mode=True,
    )
    given = module.params

    def work() -> dict[str, object]:
        server = Client(given["endpoint"], given["authority"], given["timeout_seconds"])
        wanted = Wanted(given["version"], given["hosts"], write=not module.check_mode)
        login = Login(given["username"], given["password"])
        checks = verify(server, login, wanted)
        version = checks[0].observed.removeprefix("MLflow ") if checks[0].status == "ok" else ""
        return {"checks": [check.to_dict() for check in checks], "version": version}

    finish(module, work)


if __name__ == "__main__":
    main()
