"""A double of MicroK8s: its commands, services and files, around the real programs of Kubernetes.

It runs as /snap/microk8s/current/microk8s.wrapper. What it imitates is written in the words of canonical/microk8s:
names in brackets are that repository's files.
"""
