"""`microk8s start` and `microk8s stop` [microk8s-start.wrapper, microk8s-stop.wrapper]."""

from __future__ import annotations

import subprocess

from . import containers, kubernetes, node

NODE_SECONDS = 60


def start(_: list[str]) -> int:
    """Start all services, and wait for a node; what came of that is not told."""
    if subprocess.run(["snapctl", "start", "microk8s", "--enable"], check=False).returncode:
        print('Failed to start microk8s services. Check snapd logs with "journalctl -u snapd.service"')
        return 1
    node.set_lock("stopped.lock", there=False)
    kubernetes.wait_until_ready(NODE_SECONDS)
    return 0


def stop(_: list[str]) -> int:
    """Stop all services and delete all containers; it stays so over a reboot."""
    if subprocess.run(["snap", "stop", "microk8s.daemon-kubelite", "--disable"], check=False).returncode:
        print('Failed to stop microk8s services. Check snapd logs with "journalctl -u snapd.service"')
        return 1
    containers.remove_all()
    subprocess.run(["snap", "stop", "microk8s", "--disable"], check=True)
    node.set_lock("stopped.lock")
    return 0
