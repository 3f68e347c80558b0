"""MicroK8s: what its snap, files and commands say, with their lying exit codes."""
