"""All that a host of the lab needs and a real one does not, in one place.

Files under args/ stay MicroK8s's own; what is here is added when containerd and kubelite start:

* Both run in the host's namespace of version 1 control groups, where there is one (/usr/lib/lab/with-cgroups).
* containerd: no AppArmor; oom_score_adj within what an unprivileged parent allows; every container begins from a
  specification with the hook that shows it the host's /proc/driver, as a real driver shows in every procfs.
* kubelet and kube-proxy: settings for a kernel with hybrid control groups and sysctls that belong to the machine.
* kube-controller-manager: gives each node its part of the pods' network, which Calico would do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from . import node, system

WITH_CGROUPS = Path("/usr/lib/lab/with-cgroups")
CONTAINER_HOOK = Path("/usr/lib/lab/nvidia-container-hook")

KUBELET: dict[str, Any] = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "failCgroupV1": False,
    "localStorageCapacityIsolation": True,
    "oomScoreAdj": 0,
    # The disk is the machine's: how full it is, is not for the hosts to mend.
    "imageGCHighThresholdPercent": 100,
    "imageGCLowThresholdPercent": 99,
    "nodeStatusUpdateFrequency": "4s",
    "syncFrequency": "10s",
}
FLAGS = {
    "kubelet": ["--config=${SNAP_COMMON}/lab/kubelet.yaml"],
    "kube-proxy": [
        "--proxy-mode=iptables",
        "--oom-score-adj=0",
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
    ],
    "kube-controller-manager": ["--allocate-node-cidrs=true", "--node-cidr-mask-size=24"],
}
# MicroK8s's kubelite names the files of its components in its own way
FILE_FLAGS = {
    "--apiserver-args-file": "--kube-apiserver-args-file",
    "--controller-manager-args-file": "--kube-controller-manager-args-file",
    "--scheduler-args-file": "--kube-scheduler-args-file",
    "--proxy-args-file": "--kube-proxy-args-file",
    "--kubelet-args-file": "--kubelet-args-file",
}

_CRI = r"\[plugins\.[\"']io\.containerd\.grpc\.v1\.cri[\"']"
_RUNTIME = re.compile(rf"^(\s*){_CRI}\.containerd\.runtimes\.[^.\]]+\]\s*$", re.M)
_PLUGIN = re.compile(rf"^(\s*){_CRI}\]\s*$", re.M)


def become(command: Sequence[str]) -> None:
    """Replace this process by a program that works with control groups."""
    words = [str(WITH_CGROUPS), *command] if WITH_CGROUPS.exists() else list(command)
    system.become(*words)


def adapt_containerd(rendered: str) -> str:
    """containerd.toml with the lab's additions; every runtime gets the hook, those that nvidia-ctk added too."""
    text = _PLUGIN.sub(r"\g<0>\n\1  disable_apparmor = true\n\1  restrict_oom_score_adj = true", rendered)
    if not CONTAINER_HOOK.exists():
        return text
    return _RUNTIME.sub(rf'\g<0>\n\1  base_runtime_spec = "{_base_specification()}"', text)


def _base_specification() -> Path:
    """What containers begin from: containerd's own default and the hook, without ctr's limit of 1024 open files."""
    specification = json.loads(system.run(node.snap() / "bin/ctr", "oci", "spec"))
    specification["process"].pop("rlimits", None)
    specification["hooks"] = {"createContainer": [{"path": str(CONTAINER_HOOK)}]}
    file = _folder() / "container.json"
    file.write_text(json.dumps(specification, indent=1))
    return file


def kubelite_arguments(words: Sequence[str]) -> list[str]:
    """What the lab's kubelite is started with: copies of the components' files with the lab's flags at the end."""
    (_folder() / "kubelet.yaml").write_text(yaml.safe_dump(KUBELET))
    given = dict(word.split("=", 1) for word in words)
    adapted = [f"--start-control-plane={given.get('--start-control-plane', 'true')}"]
    return adapted + [f"{flag}={_with_flags(Path(given[theirs]))}" for theirs, flag in FILE_FLAGS.items()]


def _with_flags(file: Path) -> Path:
    copy = _folder() / file.name
    copy.write_text("\n".join([file.read_text(), *FLAGS.get(file.name, []), ""]))
    return copy


def _folder() -> Path:
    folder = node.common() / "lab"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def release_mounts() -> None:
    """Unmount what kubelet and containerd mounted in their own namespace, which umount on the host does not reach."""
    if not WITH_CGROUPS.exists():
        return
    script = (
        f"grep -o ' {node.common()}/[^ ]*' /proc/self/mountinfo | sort -r"
        ' | while read -r at; do umount -l "$at"; done 2>/dev/null; true'
    )
    system.succeeds(WITH_CGROUPS, "sh", "-c", script)
