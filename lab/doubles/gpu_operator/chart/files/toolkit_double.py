"""Plays the operator's container toolkit on a node, as nvidia-ctk-installer does.

It writes its runtimes into containerd's template out of containerd.toml, makes nvidia the default, and has containerd
start anew; at its end it takes its runtimes out again. So comments and placeholders are gone for good
(cmd/nvidia-ctk-installer/container of NVIDIA/nvidia-container-toolkit). The programs in /usr/local/nvidia/toolkit are
NVIDIA's own; the real one has them in its image.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
from pathlib import Path

ARGS = Path("/var/snap/microk8s/current/args")
TEMPLATE, RENDERED = ARGS / "containerd-template.toml", ARGS / "containerd.toml"
SOCKET = "/var/snap/microk8s/common/run/containerd.sock"
CRI = 'plugins."io.containerd.grpc.v1.cri"'
RUNTIME = f"""
    [{CRI}.containerd.runtimes.NAME]
      runtime_type = "io.containerd.runc.v2"
      [{CRI}.containerd.runtimes.NAME.options]
        BinaryName = "/usr/local/nvidia/toolkit/nvidia-container-runtime"
"""
NAMES = ("nvidia", "nvidia-cdi", "nvidia-legacy")
OURS = re.compile(rf"^ *\[{re.escape(CRI)}\.containerd\.runtimes\.nvidia(-cdi|-legacy)?[\].]")
DEFAULT = 'default_runtime_name = "nvidia"'
LEFT_OUT = ("#", "default_runtime_name", "disable_apparmor", "restrict_oom_score_adj", "base_runtime_spec")
"""Comments, the default runtime, and what the lab's microk8s adds when it renders."""


def written_anew(text: str) -> str:
    """containerd.toml without comments and its own runtimes; runc is containerd's default."""
    inside = False
    kept: list[str] = []
    for line in (line for line in text.splitlines() if line.strip()):
        if line.strip().startswith("["):
            inside = bool(OURS.match(line))
        if not inside and not line.strip().startswith(LEFT_OUT):
            kept.append(line)
    return "\n".join(kept) + "\n"


def setup(text: str) -> str:
    """The same with the runtimes, nvidia the default."""
    table = f"[{CRI}.containerd]\n"
    plain = written_anew(text).replace(table, f"{table}    {DEFAULT}\n")
    return plain + "".join(RUNTIME.replace("NAME", name) for name in NAMES)


def restart_containerd() -> None:
    """By a signal to who listens on its socket."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(SOCKET)
        pid, *_ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    os.kill(pid, signal.SIGHUP)


def main() -> None:
    """Set up, wait for the end, clean up."""
    for folder in ("toolkit", "validations"):
        Path("/run/nvidia", folder).mkdir(parents=True, exist_ok=True)
    Path("/run/nvidia/validations/toolkit-ready").touch()
    Path("/run/nvidia/toolkit/toolkit.pid").write_text(f"{os.getpid()}\n")
    wanted = setup(RENDERED.read_text())
    if TEMPLATE.read_text() != wanted:
        TEMPLATE.write_text(wanted)
        restart_containerd()
    signal.sigwait([signal.SIGTERM])
    TEMPLATE.write_text(written_anew(RENDERED.read_text()))
    Path("/run/nvidia/toolkit/toolkit.pid").unlink()
    restart_containerd()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    main()
