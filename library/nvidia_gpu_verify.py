#!/usr/bin/python
"""Ansible module nvidia_gpu_verify."""

from __future__ import annotations

DOCUMENTATION = """
module: nvidia_gpu_verify
short_description: Whether a host's GPUs are well, and are what is declared
description:
  - Asks NVML, the PCI tree, CUDA, the driver's device nodes and the kernel's log of this boot, and returns checks.
  - Checks with a wanted value are there only where it is given. Those of health need none.
  - A check names the GPUs at fault by index, UUID and bus id, and does not fail the module.
  - A declaration that cannot be meant fails it, before anything is looked at. Never changes anything.
options:
  count:
    description: How many GPUs answer.
    type: int
  products:
    description: Patterns such as V(*H100*). Each GPU's name matches one; capitals are no matter.
    type: list
    elements: str
    default: []
  memory_mib:
    description: Memory of each GPU, at least, in MiB as nvidia-smi counts it.
    type: int
  driver_branch:
    description: The driver's branch, such as V(580).
    type: str
    default: ""
  pcie_generation:
    description:
      - Generation of each GPU's PCIe link, at least. A GPU that saves power has a slower link; it is judged by the
        fastest that GPU and slot can do.
    type: int
  pcie_width:
    description: Lanes of each GPU's PCIe link, at least.
    type: int
  nvlinks:
    description: Active NVLinks of each GPU, at least. GPUs in MIG mode are passed by.
    type: int
  persistence:
    description: Whether persistence mode is on.
    type: bool
  retired_pages_max:
    description: How many retired pages a GPU may have, on those that count them (before Ampere).
    type: int
  mig_layout:
    description: The name of the MIG layout that GPUs have, as O(mig_config) or module nvidia_mig knows it.
    type: str
    default: ""
  mig_config:
    description: Layouts by name, as module nvidia_mig takes them.
    type: dict
    default: {}
  ignored:
    description: Checks of health that are left out, by their names without C(nvidia_gpu.).
    type: list
    elements: str
    choices: [gpus_answer, driver_matches_library, device_nodes, cuda, ecc_uncorrected, row_remap, retired_pages, xid,
      throttling, fabric]
    default: []
  declaration_only:
    description: Judge only whether what is declared can be true of the GPUs that there are.
    type: bool
    default: false
  timeout_seconds:
    description: How long each part may take - the driver, all GPUs together, CUDA, the log.
    type: float
    default: 20
notes:
  - Needs root, and nvidia-ml-py beside the interpreter.
  - Xids 13, 31, 43, 45 and others that NVIDIA's catalogue has as a program's own are no fault of a GPU.
attributes:
  check_mode: {support: full, description: Only reads.}
author: Groundwork
"""

EXAMPLES = """
- name: Verify a host of eight H100
  nvidia_gpu_verify:
    count: 8
    products: ["*H100 80GB HBM3"]
    pcie_generation: 5
    pcie_width: 16
    nvlinks: 18
  register: __gpus
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"
"""

RETURN = """
checks:
  description: The verdicts.
  returned: success
  type: list
  elements: dict
  sample:
    - name: nvidia_gpu.row_remap
      status: failed
      observed: "GPU 1 (GPU-1f0e8bd5-1c9e-5cb5-9d4c-0d5c51a5b0a1, 0000:43:00.0): a row waits to be remapped"
      wanted: no row waits to be remapped, none failed to be
      remedy: Drain the node and reset the GPU.
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.command import run
from ansible.module_utils.groundwork.gpu.verify.wanted import HEALTH
from ansible.module_utils.groundwork.gpu.verify.worker import verify
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Observe, judge, exit."""
    module = AnsibleModule(
        argument_spec={
            "count": {"type": "int"},
            "products": {"type": "list", "elements": "str", "default": []},
            "memory_mib": {"type": "int"},
            "driver_branch": {"type": "str", "default": ""},
            "pcie_generation": {"type": "int"},
            "pcie_width": {"type": "int"},
            "nvlinks": {"type": "int"},
            "persistence": {"type": "bool"},
            "retired_pages_max": {"type": "int"},
            "mig_layout": {"type": "str", "default": ""},
            "mig_config": {"type": "dict", "default": {}},
            "ignored": {"type": "list", "elements": "str", "choices": list(HEALTH), "default": []},
            "declaration_only": {"type": "bool", "default": False},
            "timeout_seconds": {"type": "float", "default": 20.0},
        },
        supports_check_mode=True,
    )
    finish(module, lambda: {"checks": [verdict.to_dict() for verdict in verify(module.params, run)]})


if __name__ == "__main__":
    main()
