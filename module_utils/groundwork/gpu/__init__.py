"""NVIDIA GPUs of a host: what NVML, the kernel and PCI say of them."""
