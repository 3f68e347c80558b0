#!/usr/bin/python
"""Ansible module s3_consumer."""

from __future__ import annotations

DOCUMENTATION = """
module: s3_consumer
short_description: Keep a bucket in an object store, and the key that has it
description:
  - With the key of a Versity S3 Gateway's administrator, makes the consumer's key and its bucket.
  - Without it, as with any other S3, the key must be there already, and the bucket is made where it is missing.
  - Nothing is ever deleted.
options:
  endpoint:
    description: The store's URL without a path.
    type: str
    required: true
  region:
    description: The region that requests are signed for.
    type: str
    default: us-east-1
  authority:
    description: Certificate of the endpoint's authority, in PEM; empty means those that the host trusts.
    type: str
    default: ""
  administrator_access_key:
    description: Access key of the gateway's administrator; empty means a store that is not ours.
    type: str
    default: ""
  administrator_secret_key:
    description: Its secret.
    type: str
    default: ""
  bucket:
    description: The consumer's bucket.
    type: str
    required: true
  access_key:
    description: The consumer's access key.
    type: str
    required: true
  secret_key:
    description: Its secret.
    type: str
    required: true
  timeout_seconds:
    description: How long the key may take to open the bucket.
    type: float
    default: 180
author: Groundwork
"""

EXAMPLES = """
- name: Ensure MLflow has a bucket and a key
  s3_consumer:
    endpoint: https://s3.example
    bucket: mlflow
    access_key: mlflow
    secret_key: "{{ vault_mlflow_secret_key }}"
"""

RETURN = """
actions:
  description: What was done, or would be in check mode, and why.
  returned: success
  type: list
  elements: str
  sample: ["create_bucket: there is no bucket mlflow"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.s3.client import Client, Key
from ansible.module_utils.groundwork.s3.consumer import Wanted, apply, observe, plan
from ansible.module_utils.groundwork.waiting import Waiter


def main() -> None:
    """Observe, plan, apply and exit."""
    module = AnsibleModule(
        argument_spec={
            "endpoint": {"type": "str", "required": True},
            "region": {"type": "str", "default": "us-east-1"},
            "authority": {"type": "str", "default": ""},
            "administrator_access_key": {"type": "str", "default": ""},
            "administrator_secret_key": {"type": "str", "default": "", "no_log": True},
            "bucket": {"type": "str", "required": True},
            "access_key": {"type": "str", "required": True, "no_log": False},
            "secret_key": {"type": "str", "required": True, "no_log": True},
            "timeout_seconds": {"type": "float", "default": 180.0},
        },
        supports_check_mode=True,
    )
    given = module.params

    def work() -> dict[str, object]:
        administrator = Key(given["administrator_access_key"], given["administrator_secret_key"])
        key = Key(given["access_key"], given["secret_key"])
        wanted = Wanted(given["bucket"], key, administrator if administrator.access else None)
        store = Client(given["endpoint"], given["region"], given["authority"])
        actions = plan(observe(store, wanted), wanted)
        if actions and not module.check_mode:
            apply(store, wanted, actions, Waiter(given["timeout_seconds"]))
        return {"changed": bool(actions), "actions": [str(action) for action in actions]}

    finish(module, work)


if __name__ == "__main__":
    main()
