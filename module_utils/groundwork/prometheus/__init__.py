"""Prometheus, asked as its users ask it."""
