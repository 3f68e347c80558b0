"""Plays the operator's container toolkit on a node: as nvidia-ctk-installer does, it writes the runtimes into containerd's template
out of containerd.toml, makes nvidia the default, and has containerd start anew; at its end it takes its runtimes out again.

So comments and placeholders are gone for good (cmd/nvidia-ctk-installer/container of NVIDIA/nvidia-container-toolkit). The programs in
/usr/local/nvidia/toolkit are NVIDIA's own; the real one has them in its image.
"""

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
        BinaryName = "/usr/local/nvidia/toolkit/PROGRAM"
"""
NAMES = {"nvidia": "nvidia-container-runtime", "nvidia-cdi": "nvidia-container-runtime", "nvidia-legacy": "nvidia-container-runtime"}
DEFAULT = 'default_runtime_name = "nvidia"'


def written_anew(text):
    """containerd.toml without its comments, the lab's own additions and our runtimes."""
    lines = [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    lab = ("disable_apparmor", "restrict_oom_score_adj", "base_runtime_spec")
    kept = [line for line in lines if not line.strip().startswith(lab)]
    ours = re.compile(rf"^ *\[{re.escape(CRI)}\.containerd\.runtimes\.nvidia(-cdi|-legacy)?[\].]")
    inside, result = False, []
    for line in kept:
        if line.strip().startswith("["):
            inside = bool(ours.match(line))
        if not inside and line.strip() != DEFAULT:
            result.append(line)
    return "\n".join(result) + "\n"


def setup(text):
    """The same with the runtimes, nvidia the default."""
    plain = re.sub(r"(?m)^(\s*)default_runtime_name = .*$", rf"\1{DEFAULT}", written_anew(text))
    runtimes = (RUNTIME.replace("NAME", name).replace("PROGRAM", program) for name, program in NAMES.items())
    return plain + "".join(runtimes)


def restart_containerd():
    """By a signal to who listens on its socket."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(SOCKET)
        pid, *_ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    os.kill(pid, signal.SIGHUP)


def main():
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


signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
main()
