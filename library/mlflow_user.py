#!/usr/bin/python
"""Ansible module mlflow_user."""

from __future__ import annotations

DOCUMENTATION = """
module: mlflow_user
short_description: Keep a user of MLflow's basic-auth app who administers nothing
description:
  - Makes the user where it is missing, and gives it its password and no administration where it has others.
  - Nobody is ever deleted.
options:
  endpoint:
    description: The server's URL without a path.
    type: str
    required: true
  authority:
    description: Certificate of the endpoint's authority, in PEM.
    type: str
    required: true
  administrator:
    description: Name of who administers the server.
    type: str
    required: true
  administrator_password:
    description: Their password.
    type: str
    required: true
  username:
    description: The user.
    type: str
    required: true
  password:
    description: The user's password, of 12 characters at least.
    type: str
    required: true
author: Groundwork
"""

EXAMPLES = """
- name: Ensure workloads have a user
  mlflow_user:
    endpoint: https://192.0.2.11:30500
    authority: "{{ lookup('ansible.builtin.file', 'ca.crt') }}"
    administrator: admin
    administrator_password: "{{ vault_mlflow_password }}"
    username: workloads-ray
    password: "{{ vault_workloads_password }}"
"""

RETURN = """
actions:
  description: What was done, or would be in check mode, and why.
  returned: success
  type: list
  elements: str
  sample: ["create: there is no user workloads-ray"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.mlflow.client import Client, Login
from ansible.module_utils.groundwork.mlflow.user import apply, observe, plan
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Observe, plan, apply and exit."""
    module = AnsibleModule(
        argument_spec={
            "endpoint": {"type": "str", "required": True},
            "authority": {"type": "str", "required": True},
            "administrator": {"type": "str", "required": True},
            "administrator_password": {"type": "str", "required": True, "no_log": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
        },
        supports_check_mode=True,
    )
    given = module.params

    def work() -> dict[str, object]:
        server = Client(given["endpoint"], given["authority"])
        administrator = Login(given["administrator"], given["administrator_password"])
        user = Login(given["username"], given["password"])
        actions = plan(observe(server, administrator, user), user)
        if actions and not module.check_mode:
            apply(server, administrator, user, actions)
        return {"changed": bool(actions), "actions": [str(action) for action in actions]}

    finish(module, work)


if __name__ == "__main__":
    main()
