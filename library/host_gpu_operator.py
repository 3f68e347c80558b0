#!/usr/bin/python
"""Ansible module host_gpu_operator."""

from __future__ import annotations

DOCUMENTATION = """
module: host_gpu_operator
short_description: Take what NVIDIA's GPU Operator left from a host
description:
  - Tells what in MicroK8s's template of containerd's configuration is neither MicroK8s's nor Groundwork's. To put
    MicroK8s's own back is for role C(container_toolkit), which restarts containerd as well.
  - Removes the files of the operator's toolkit. Its programs stay while a container runs that they started, since
    containerd calls them until it ends.
  - Tells of a driver that is loaded still though its containers are gone; a reboot ends it.
options: {}
attributes:
  check_mode: {support: full}
author: Groundwork
"""

EXAMPLES = """
- name: Ensure nothing of a GPU Operator's toolkit is on this host
  host_gpu_operator:
  register: __gpu_operator_host
"""

RETURN = """
template:
  description: What in the template is neither MicroK8s's nor Groundwork's; null where there is no MicroK8s.
  returned: success
  type: list
  elements: str
  sample: [nvidia is the default runtime, programs in /usr/local/nvidia/toolkit]
removed:
  description: Files that were removed, or in check mode would be.
  returned: success
  type: list
  elements: str
kept:
  description: Files that stay until the containers of C(used_by) end.
  returned: success
  type: list
  elements: str
used_by:
  description: Pods whose containers the operator's programs started.
  returned: success
  type: list
  elements: str
old_driver:
  description: The version of loaded kernel modules that no driver of the host's stands behind; else empty.
  returned: success
  type: str
checks:
  description: The same as checks.
  returned: success
  type: list
  elements: dict
diff:
  description: The files before and after.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.gpu_operator import host
from ansible.module_utils.groundwork.microk8s.paths import Paths
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Observe, remove, exit."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    finish(module, lambda: host.clean(Paths(), change=not module.check_mode))


if __name__ == "__main__":
    main()
