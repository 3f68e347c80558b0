"""Filesystems that hosts share, and the servers they come from."""
