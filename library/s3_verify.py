#!/usr/bin/python
"""Ansible module s3_verify."""

from __future__ import annotations

DOCUMENTATION = """
module: s3_verify
short_description: Judge an object store by its S3 API, with a key and without one
description:
  - Without a bucket, asks whether the store answers and knows the key, and writes nothing.
  - With one, writes an object, reads it back and compares, and sees that nobody without a key can do anything.
  - Returns checks and does not fail because of them. Never counts as a change.
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
  bucket:
    description: The bucket to write to; empty means none. In check mode nothing is written.
    type: str
    default: ""
  access_key:
    description: The access key to ask with.
    type: str
    required: true
  secret_key:
    description: Its secret.
    type: str
    required: true
  timeout_seconds:
    description: How long an answer may take.
    type: float
    default: 30
author: Groundwork
"""

EXAMPLES = """
- name: Check that the site's object store answers
  s3_verify:
    endpoint: https://s3.example
    access_key: groundwork
    secret_key: "{{ vault_s3_secret_key }}"
"""

RETURN = """
checks:
  description: Without a bucket whether it answers and knows the key, with one whether objects are kept.
  returned: success
  type: list
  elements: dict
  sample:
    - {name: object_store.key_is_right, status: failed, observed: "the key groundwork: HTTP 403 SignatureDoesNotMatch",
      wanted: the object store knows the key and its secret, remedy: Correct the access key and its secret}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.module import finish
from ansible.module_utils.groundwork.s3.client import Client, Key
from ansible.module_utils.groundwork.s3.verify import look, prove


def main() -> None:
    """Judge and exit."""
    module = AnsibleModule(
        argument_spec={
            "endpoint": {"type": "str", "required": True},
            "region": {"type": "str", "default": "us-east-1"},
            "authority": {"type": "str", "default": ""},
            "bucket": {"type": "str", "default": ""},
            "access_key": {"type": "str", "required": True, "no_log": False},
            "secret_key": {"type": "str", "required": True, "no_log": True},
            "timeout_seconds": {"type": "float", "default": 30.0},
        },
        supports_check_mode=True,
    )
    given = module.params

    def work() -> dict[str, object]:
        store = Client(given["endpoint"], given["region"], given["authority"], given["timeout_seconds"])
        key = Key(given["access_key"], given["secret_key"])
        write = given["bucket"] and not module.check_mode
        checks = prove(store, given["bucket"], key) if write else look(store, given["endpoint"], key)
        return {"checks": [check.to_dict() for check in checks]}

    finish(module, work)


if __name__ == "__main__":
    main()
