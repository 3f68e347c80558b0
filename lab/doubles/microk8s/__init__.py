"""MicroK8s for hosts of the lab."""
