"""Proofs on a Kubernetes cluster, by pods of our own."""
