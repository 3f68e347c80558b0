"""Doubles: stand-ins for what cannot run in the lab. docs/lab.md lists every one of them."""
