"""The service daemon-containerd [run-containerd-with-args]."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from . import arguments, lab_host, node


def run() -> int:
    """Render containerd.toml and become containerd."""
    _clean_after_boot()
    render()
    current = Path(str(node.snap()).replace(os.environ["SNAP_REVISION"], "current"))
    # shims call runc later, when a refresh may have taken this revision away: hence `current` first
    folders = [f"{root}/{part}" for root in (current, node.snap()) for part in ("usr/sbin", "usr/bin", "sbin", "bin")]
    os.environ.update(_variables("containerd-env", {"PATH": ":".join([*folders, os.environ["PATH"]])}))
    lab_host.become([str(node.snap() / "bin/containerd"), *arguments.words("containerd")])
    return 0


def render() -> None:
    """Make args/containerd.toml from the template, with what a lab host needs added."""
    template = node.arguments_file("containerd-template.toml").read_text()
    text = substitute(template, snap=str(node.snap()), data=str(node.data()), cgroup2=_has_cgroup2())
    node.write_private(node.arguments_file("containerd.toml"), lab_host.adapt_containerd(text))


def substitute(template: str, snap: str, data: str, cgroup2: bool) -> str:
    """Fill in what MicroK8s fills in, and nothing else."""
    values = {
        "SNAP": snap,
        "SNAP_DATA": data,
        "SNAPSHOTTER": "overlayfs",
        "RUNTIME": "runc",
        "RUNTIME_TYPE": "io.containerd.runc.v2" if cgroup2 else "io.containerd.runc.v1",
    }
    for name, value in values.items():
        template = template.replace(f"${{{name}}}", value)
    return template


def _has_cgroup2() -> bool:
    return any(line.split()[2] == "cgroup2" for line in Path("/proc/self/mounts").read_text().splitlines())


def _clean_after_boot() -> None:
    """Remove what the run before the last boot left of containers [is_first_boot]."""
    state, boot = node.common() / "run/containerd", Path("/proc/sys/kernel/random/boot_id").read_text()
    mark = state / "boot"
    if mark.exists() and mark.read_text() != boot:
        shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True, exist_ok=True)
    mark.write_text(boot)


def _variables(file: str, more: dict[str, str]) -> dict[str, str]:
    """What a shell has exported after sourcing args/FILE."""
    script = f'set -a; . "{node.arguments_file(file)}"; env -0'
    done = subprocess.run(
        ["/bin/bash", "-c", script], env=os.environ | more, capture_output=True, text=True, check=True
    )
    return dict(pair.split("=", 1) for pair in done.stdout.split("\0") if "=" in pair)
