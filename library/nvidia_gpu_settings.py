#!/usr/bin/python
"""Ansible module nvidia_gpu_settings."""

from __future__ import annotations

DOCUMENTATION = """
module: nvidia_gpu_settings
short_description: Set a host's GPUs as declared, persistence, power, clocks, compute mode and ECC
description:
  - Asks NVML what each GPU can be set to. What one of them cannot is refused before any of them is changed.
  - What is not declared is left alone, whatever it is.
  - ECC changes at a reset or reboot; C(reset_required) names the GPUs that wait for it.
  - What processes would feel, ECC and compute mode, is refused with their names, unless O(allow_disruption).
options:
  settings:
    description: What is declared for all GPUs of the host; null or an empty list is left alone.
    type: dict
    default: {}
    suboptions:
      persistence_mode:
        description:
          - Whether the driver keeps a GPU's state while no program uses it. Where it is off, the driver forgets limits,
            clocks and compute mode with the last program, so that these are refused.
        type: bool
      power_limit_watts:
        description: The power limit; NVML tells the range.
        type: float
      locked_graphics_clocks_mhz:
        description:
          - The lowest and the highest graphics clock, or one for both, of those that
            C(nvidia-smi -q -d SUPPORTED_CLOCKS) lists.
        type: list
        elements: int
      locked_memory_clocks_mhz:
        description: The same of the memory's clock; Ampere and newer.
        type: list
        elements: int
      compute_mode:
        description: Who may use a GPU. A GPU in MIG mode takes V(default) alone; there it belongs to each MIG device.
        type: str
        choices: [default, exclusive_process, prohibited]
      ecc:
        description: Whether memory errors are corrected.
        type: bool
      by_gpu:
        description:
          - Settings of some GPUs, with either C(uuid) or C(product), NVML's name in any case, with V(*) and V(?) in it.
            A UUID's go before a product's, and these before those of all.
          - An entry that names no GPU of the host is refused, and so is a GPU that two entries name.
        type: list
        elements: dict
  only:
    description: The settings to change; all are judged. Empty means all.
    type: list
    elements: str
    choices:
      - persistence_mode
      - power_limit_watts
      - locked_graphics_clocks_mhz
      - locked_memory_clocks_mhz
      - compute_mode
      - ecc
    default: []
  state:
    description:
      - With V(default), what is declared goes back to each card's own default, whatever value is declared. Persistence
        mode has none and stays.
    type: str
    choices: [present, default]
    default: present
  allow_disruption:
    description: Whether to change ECC and compute mode where processes use the GPU. Nothing is killed.
    type: bool
    default: false
  timeout_seconds:
    description: How long observing all GPUs, and changing them, may take each.
    type: float
    default: 60
notes:
  - Needs root, and nvidia-ml-py beside the interpreter.
  - NVML tells nobody what clocks are locked to. They are kept account of in C(/run/groundwork), which goes with a
    reboot, and are set again at each run, which is no change.
  - In check mode on a host whose driver does not answer yet, all that can be judged is the form.
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: Groundwork
"""

EXAMPLES = """
- name: Ensure GPUs draw at most 500 W, but those of one rack 400 W
  nvidia_gpu_settings:
    settings:
      persistence_mode: true
      power_limit_watts: 500
      by_gpu:
        - {product: "NVIDIA H100 80GB HBM3", locked_graphics_clocks_mhz: [210, 1755]}
        - {uuid: GPU-1f0e8bd5-1c9e-5cb5-9d4c-0d5c51a5b0a1, power_limit_watts: 400}
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"
"""

RETURN = """
actions:
  description: What was done, in check mode what would be, a step a line.
  returned: success
  type: list
  elements: str
  sample: ["GPU 0 (GPU-1f0e8bd5-…, NVIDIA H100 80GB HBM3): set power limit to 500 W"]
before:
  description: The GPUs as they were; those that do not answer have only their index. An empty list of clocks is free.
  returned: success
  type: list
  elements: dict
  sample:
    - index: 0
      uuid: GPU-1f0e8bd5-1c9e-5cb5-9d4c-0d5c51a5b0a1
      name: NVIDIA H100 80GB HBM3
      persistence_mode: true
      power_limit_watts: 700.0
      locked_graphics_clocks_mhz: []
      locked_memory_clocks_mhz: []
      compute_mode: default
      ecc: true
      ecc_pending: true
after:
  description: The same GPUs as they are now, in check mode as they would be.
  returned: success
  type: list
  elements: dict
reset_required:
  description: GPUs whose ECC is as declared only after a reset or a reboot, with the reason.
  returned: success
  type: list
  elements: dict
  sample: [{gpu: GPU-1f0e8bd5-…, reason: ECC changes at the next reset or reboot}]
declaration:
  description: O(settings) as understood, for module gpu_boot_unit.
  returned: success
  type: dict
nvml:
  description: Whether NVML answers; if not, C(reason) and C(remedy). Outside of check mode the module then fails.
  returned: success
  type: dict
  sample: {available: true, reason: null, remedy: null}
diff:
  description: The settings before and after.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.gpu.settings import declare
from ansible.module_utils.groundwork.gpu.settings.model import NAMES
from ansible.module_utils.groundwork.module import finish

CLOCKS = {"type": "list", "elements": "int"}
SETTINGS = {
    "persistence_mode": {"type": "bool"},
    "power_limit_watts": {"type": "float"},
    "locked_graphics_clocks_mhz": CLOCKS,
    "locked_memory_clocks_mhz": CLOCKS,
    "compute_mode": {"type": "str", "choices": ["default", "exclusive_process", "prohibited"]},
    "ecc": {"type": "bool"},
}
NAMED = {**SETTINGS, "uuid": {"type": "str"}, "product": {"type": "str"}}
ALL = {**SETTINGS, "by_gpu": {"type": "list", "elements": "dict", "options": NAMED}}


def main() -> None:
    """Observe, plan, apply, exit."""
    module = AnsibleModule(
        argument_spec={
            "settings": {"type": "dict", "default": {}, "options": ALL},
            "only": {"type": "list", "elements": "str", "choices": list(NAMES), "default": []},
            "state": {"type": "str", "choices": ["present", "default"], "default": "present"},
            "allow_disruption": {"type": "bool", "default": False},
            "timeout_seconds": {"type": "float", "default": 60.0},
        },
        supports_check_mode=True,
    )
    given = module.params

    def work() -> dict[str, object]:
        result = declare.declare(
            given["settings"],
            given["allow_disruption"],
            given["timeout_seconds"],
            change=not module.check_mode,
            only=given["only"] or NAMES,
            restore=given["state"] == "default",
        )
        return {**result, "declaration": given["settings"]}

    finish(module, work)


if __name__ == "__main__":
    main()
