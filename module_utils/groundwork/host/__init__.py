"""Hosts as they are before and beside GPUs and Kubernetes."""
