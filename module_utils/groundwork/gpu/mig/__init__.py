"""MIG: the layout that is declared for a host's GPUs, what NVML says of it, and the way from one to the other."""
