#!/usr/bin/python
"""Ansible module nvidia_mig."""

from __future__ import annotations

DOCUMENTATION = """
module: nvidia_mig
short_description: Cut a host's GPUs into the MIG instances that are declared
description:
  - Takes layouts in the format of nvidia-mig-parted, and asks NVML which profiles a GPU has and where they may lie.
  - A layout that does not fit one of the GPUs is refused before any of them is changed.
  - Instances that are as declared stay; only the others are taken away, and only missing ones are made.
  - What processes use is refused with their names and, where they are of pods, these; unless O(allow_disruption).
  - A step that NVML refuses takes those before it back, so that its GPU is as it was; what could not be is told.
  - Two changes of one host wait for each other, a run that was killed and what it left at work among them.
options:
  config:
    description:
      - Layouts by name, what a configuration file of nvidia-mig-parted holds, C(version) V(v1).
      - Without it, and beside it, there are V(all-disabled), V(all-enabled), V(all-balanced) and for each profile
        V(all-PROFILE), such as V(all-1g.10gb), with as many as fit. A layout of the file goes before one of these.
    type: dict
    default: {}
  selected:
    description: The name of the layout.
    type: str
    required: true
  allow_disruption:
    description:
      - Whether to try it where processes use what has to be changed. Nothing is killed. The driver takes no instance
        from a running process, so that this still fails; a change of mode waits for the reset that C(reset_required)
        names.
    type: bool
    default: false
  timeout_seconds:
    description: How long observing all GPUs, and changing one, may take each.
    type: float
    default: 60
notes:
  - Needs root, and nvidia-ml-py beside the interpreter.
  - A compute instance is as large as its GPU instance; profiles such as C(1c.2g.20gb) are refused.
  - GPUs are counted as NVML does. GPUs that the layout does not name, and those that cannot be partitioned where it
    names all, are left alone.
  - In check mode on a host whose driver does not answer yet, all that can be judged is the layout's name and form.
attributes:
  check_mode: {support: full, description: Returns the plan; instances that would be made have no uuid.}
author: Groundwork
"""

EXAMPLES = """
- name: Ensure every GPU is cut into as many small instances as fit
  nvidia_mig:
    selected: all-1g.10gb
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"

- name: Ensure the first GPU serves notebooks, and the others stay whole
  nvidia_mig:
    selected: notebooks
    config:
      version: v1
      mig-configs:
        notebooks:
          - devices: [0]
            mig-enabled: true
            mig-devices: {1g.10gb: 4, 3g.40gb: 1}
          - devices: [1, 2, 3]
            mig-enabled: false
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"
"""

RETURN = """
actions:
  description: What was done, in check mode what would be, a step a line.
  returned: success
  type: list
  elements: str
  sample: ["GPU 0 (GPU-1f0e8bd5-…, NVIDIA H100 80GB HBM3): create 3g.40gb at 0:4"]
before:
  description: The GPUs as they were; those that do not answer have only their index.
  returned: success
  type: list
  elements: dict
  sample:
    - index: 0
      uuid: GPU-1f0e8bd5-1c9e-5cb5-9d4c-0d5c51a5b0a1
      name: NVIDIA H100 80GB HBM3
      mode_current: enabled
      mode_pending: enabled
      instances:
        - {uuid: MIG-41b3…, profile: 1g.10gb, placement: {start: 6, size: 1}, gpu_instance_id: 13}
after:
  description: The same GPUs as they are now, in check mode as they would be.
  returned: success
  type: list
  elements: dict
instances:
  description: All instances of C(after), each with the C(gpu) it is part of.
  returned: success
  type: list
  elements: dict
device_uuids:
  description: UUIDs of all MIG devices that there are now, those of split instances too.
  returned: success
  type: list
  elements: str
disturbed:
  description: The processes that the steps would disturb; without O(allow_disruption) they are refused instead.
  returned: success
  type: list
  elements: dict
  sample:
    - {gpu: GPU-1f0e8bd5-…, step: destroy 1g.10gb at 6:1, pid: 4711, name: python3, pod: team-a/train-0}
reset_required:
  description: GPUs whose mode changes only by a reset or a reboot, with the reason; their instances are not made yet.
  returned: success
  type: list
  elements: dict
  sample: [{gpu: GPU-1f0e8bd5-…, reason: GPU requires reset}]
nvml:
  description: Whether NVML answers; if not, C(reason) and C(remedy). Outside of check mode the module then fails.
  returned: success
  type: dict
  sample: {available: true, reason: null, remedy: null}
diff:
  description: The layout before and after.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.gpu.mig import declare
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Observe, plan, apply, exit."""
    module = AnsibleModule(
        argument_spec={
            "config": {"type": "dict", "default": {}},
            "selected": {"type": "str", "required": True},
            "allow_disruption": {"type": "bool", "default": False},
            "timeout_seconds": {"type": "float", "default": 60.0},
        },
        supports_check_mode=True,
    )
    given = module.params
    finish(module, lambda: declare.declare(**given, change=not module.check_mode))


if __name__ == "__main__":
    main()
