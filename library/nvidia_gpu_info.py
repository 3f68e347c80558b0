#!/usr/bin/python
"""Ansible module nvidia_gpu_info."""

from __future__ import annotations

DOCUMENTATION = """
module: nvidia_gpu_info
short_description: All that NVML, the kernel and PCI say of a host's NVIDIA GPUs
description:
  - Reads what C(nvidia-smi -q) and C(nvidia-smi topo -m) show. That is driver versions, and of each GPU identity, place,
    memory, MIG devices with their placements, errors, temperature, power, clocks and what holds them back, NVLinks,
    fabric and processes.
  - Each GPU is read in a child process under a deadline, so that one that is lost or hangs hides no other; its entry
    has C(error).
  - Works where no driver and no pynvml is installed yet; then C(nvml.available) is false with the reason, and
    C(pci_devices) still lists what is plugged in.
  - Never changes anything.
options:
  timeout_seconds:
    description: How long one GPU, and all of them together, may take to answer.
    type: float
    default: 20
notes:
  - Needs nvidia-ml-py beside the interpreter for more than C(pci_devices) and C(driver.kernel_module_version).
  - Values that a GPU or its driver does not have are null.
author: Groundwork
"""

EXAMPLES = """
- name: Read the GPUs
  nvidia_gpu_info:
  register: __gpus
  vars:
    ansible_python_interpreter: "{{ site_venv }}/bin/python"

- name: Show the UUIDs of those that answer
  ansible.builtin.debug:
    msg: "{{ __gpus.gpus | selectattr('error', 'none') | map(attribute='uuid') }}"
"""

RETURN = """
driver:
  description: Versions; C(cuda_version) is the newest that the driver runs.
  returned: always
  type: dict
  sample: {version: 580.126.09, cuda_version: "13.0", nvml_version: 13.580.126.09, kernel_module_version: 580.126.09,
    kernel_module_is_open: true}
nvml:
  description: Whether NVML answers; if not, C(reason) and C(remedy) say why and what to do.
  returned: always
  type: dict
  sample: {available: true, reason: null, remedy: null}
gpus:
  description: Every GPU that the driver knows, in its order. C(error) is null, or has code, message and remedy.
  returned: always
  type: list
  elements: dict
  sample:
    - index: 0
      uuid: GPU-1f0e8bd5-1c9e-5cb5-9d4c-0d5c51a5b0a1
      name: NVIDIA H100 80GB HBM3
      serial: "1653520000000"
      minor_number: 0
      architecture: hopper
      cuda_compute_capability: "9.0"
      vbios_version: 96.00.99.00.01
      performance_state: P0
      virtualization_mode: none
      gsp_firmware_version: 580.126.09
      recovery_action: none
      board: {board_id: "0x1b00", part_number: 692-2G520-0200-000, module_id: 3, inforom_version: G520.0200.00.05}
      pci: {bus_id: "0000:1b:00.0", device_id: "2330", subsystem_id: 16c1, numa_node: 0, cpu_affinity: 0-55,
        link_generation: 5, link_generation_max: 5, link_generation_gpu_max: 5, link_width: 16, link_width_max: 16,
        replay_count: 0}
      memory: {total_mib: 81559, used_mib: 0, free_mib: 81007, reserved_mib: 551}
      bar1: {total_mib: 131072, used_mib: 1, free_mib: 131071, reserved_mib: null}
      mig:
        mode_current: enabled
        mode_pending: enabled
        devices:
          - {index: 0, uuid: MIG-41b3…, name: NVIDIA H100 80GB HBM3 MIG 1g.10gb, profile: 1g.10gb, gpu_instance_id: 13,
            compute_instance_id: 0, placement: "6:1",
            memory: {total_mib: 9984, used_mib: 0, free_mib: 9984, reserved_mib: 0}}
      ecc: {mode_current: enabled, mode_pending: enabled, corrected_volatile: 0, uncorrected_volatile: 0,
        corrected_aggregate: 0, uncorrected_aggregate: 0, dram_uncorrected_volatile: 0, dram_uncorrected_aggregate: 0,
        sram_uncorrected_volatile: 0, sram_uncorrected_aggregate: 0,
        remapped_rows_corrected: 0, remapped_rows_uncorrected: 0, remapping_pending: false, remapping_failed: false,
        remap_availability: {max: 2560, high: 0, partial: 0, low: 0, none: 0}, retired_pages: null}
      temperature: {gpu_celsius: 34, memory_celsius: 40, margin_celsius: 53, slowdown_margin_celsius: -2,
        shutdown_margin_celsius: -8, gpu_max_margin_celsius: 0, memory_max_margin_celsius: 0,
        slowdown_celsius: null, shutdown_celsius: null, gpu_max_celsius: null, memory_max_celsius: null}
      power: {usage_watts: 71.2, limit_watts: 700.0, limit_requested_watts: 700.0, limit_default_watts: 700.0,
        limit_min_watts: 200.0, limit_max_watts: 700.0}
      clocks: {graphics_mhz: 345, graphics_max_mhz: 1980, sm_mhz: 345, sm_max_mhz: 1980, memory_mhz: 2619,
        memory_max_mhz: 2619, video_mhz: 765, event_reasons: 1, reasons: [gpu_idle]}
      utilization: {gpu_percent: 0, memory_percent: 0, encoder_percent: 0, decoder_percent: 0}
      nvlinks:
        - {index: 0, active: true, version: 4, speed_mbps: 26562, remote_kind: switch, remote_bus_id: "0000:05:00.0"}
      fabric: {state: completed, status: Success, clique_id: 0, cluster_uuid: 00000000-0000-0000-0000-000000000000,
        health_mask: 0}
      processes:
        - {pid: 4711, kind: compute, name: python3, memory_mib: 512, gpu_instance_id: null, compute_instance_id: null,
           pod: team-a/train-0}
      persistence_mode: true
      compute_mode: default
      error: null
topology:
  description:
    - How every two GPUs that answer reach each other, by their indices, as C(nvidia-smi topo -m) shows it. C(path) is
      PIX, PXB, PHB, NODE or SYS over PCIe; C(nvlinks) counts NVLinks, direct ones or through switches.
  returned: always
  type: list
  elements: dict
  sample: [{gpus: [0, 1], path: NODE, nvlinks: 18}]
resources:
  description: UUIDs of what programs can use, by the resource under which the device plugin offers it (strategy mixed).
  returned: always
  type: dict
  sample: {nvidia.com/gpu: [GPU-1f0e8bd5-…], nvidia.com/mig-1g.10gb: [MIG-41b3…]}
pci_devices:
  description: NVIDIA's GPUs and NVSwitches in the kernel's PCI tree, driver or not.
  returned: always
  type: list
  elements: dict
  sample:
    - {bus_id: "0000:1b:00.0", kind: gpu, device_id: "2330", subsystem_id: 16c1, driver: nvidia, numa_node: 0,
      cpu_affinity: 0-55, link_width: 16, link_width_max: 16, link_speed: 32.0 GT/s PCIe,
      link_speed_max: 32.0 GT/s PCIe}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.groundwork.gpu.observe import observe
from ansible.module_utils.groundwork.module import finish


def main() -> None:
    """Observe the GPUs and exit."""
    module = AnsibleModule(
        argument_spec={"timeout_seconds": {"type": "float", "default": 20.0}},
        supports_check_mode=True,
    )
    finish(module, lambda: observe(module.params["timeout_seconds"]).to_dict())


if __name__ == "__main__":
    main()
