"""NVIDIA's GPU Operator, by MicroK8s's addon nvidia or somebody's Helm release: what is there, and its end."""
