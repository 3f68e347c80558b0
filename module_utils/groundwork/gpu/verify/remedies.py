"""What to do about each check that failed, where nothing that was found says more."""

REMEDIES = {
    "declaration": "Correct gpu_health_products or gpu_health_nvlinks of this host, or of its group.",
    "gpus_answer": "Look for NVRM lines in dmesg: the driver says there why it does not take a GPU.",
    "count": "Look for Xid lines in dmesg; reseat or replace a GPU that is missing, or correct gpu_health_count.",
    "product": "Put the declared GPU there, or correct gpu_health_products.",
    "memory": "See `nvidia-smi -q -d MEMORY`; have the board checked, or correct gpu_health_memory_mib.",
    "driver_branch": "Run playbooks/gpu.yml for a driver that is missing; moving to another branch is an upgrade.",
    "driver_matches_library": "An upgrade replaced the library under a loaded module: drain the node and reboot it.",
    "device_nodes": "Run `nvidia-modprobe -u -c MINOR` for each GPU, or reboot; see what takes them away.",
    "ecc_uncorrected": "Drain the node, reset the GPU, repeat its jobs: docs/runbooks/gpu-memory-faulty.md.",
    "row_remap": "Drain the node and reset the GPU; exchange one whose row failed: docs/runbooks/gpu-memory-faulty.md.",
    "retired_pages": "Drain the node and reboot it; a GPU that retires ever more pages is to be exchanged.",
    "throttling": "See cooling and power supply: docs/runbooks/gpu-throttled.md.",
    "pcie_generation": "See slot, riser and the firmware's settings; `nvidia-smi -q` shows what GPU and host can do.",
    "pcie_width": "Reseat the GPU, and see its slot and riser.",
    "nvlinks": "See `nvidia-smi nvlink --status`; drain the node, reset its GPUs, then see the bridge or baseboard.",
    "persistence": "See `systemctl status nvidia-persistenced`, and run playbooks/gpu.yml.",
    "mig_layout": "Run playbooks/gpu.yml; MIG devices do not survive a reboot.",
    "fabric": "See `systemctl status nvidia-fabricmanager`: Fabric Manager must run, of exactly the driver's version.",
}
