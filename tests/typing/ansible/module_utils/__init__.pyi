"""Shared code of modules; Ansible's own, and ours under `groundwork`."""
