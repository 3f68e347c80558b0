"""What a run was made by: the commit, what was changed since, the data's version, the GPUs, and the packages."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class Provenance:
    """Tags of a run, and files that say more than a tag can."""

    tags: dict[str, str]
    files: dict[str, str]


def collect() -> Provenance:
    """What is known here and now; what cannot be known is an empty text, never an error."""
    diff = _git("diff", "HEAD", "--", ".")
    tags = {
        "git.commit": git_commit(),
        "git.dirty_diff_sha256": hashlib.sha256(diff.encode()).hexdigest() if diff else "",
        "gpu.uuid": ",".join(gpu_uuids()),
        "host": platform.node(),
        "python": platform.python_version(),
    }
    files = {"environment.txt": _packages()} | ({"dirty.diff": diff} if diff else {})
    return Provenance(tags, files)


def git_commit() -> str:
    """The commit that the project stands on; "" outside a repository. Who sent the project to a pod knew it."""
    return os.environ.get("GIT_COMMIT") or _git("rev-parse", "HEAD")


def gpu_uuids() -> list[str]:
    """The UUIDs of this process's GPUs, or of its MIG devices where one is cut into such; none without a driver."""
    import pynvml  # it opens the driver's library

    try:
        pynvml.nvmlInit()
        gpus = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [uuid for gpu in gpus for uuid in _mig_uuids(gpu) or [pynvml.nvmlDeviceGetUUID(gpu)]]
    except pynvml.NVMLError:
        return []


def _mig_uuids(gpu: object) -> list[str]:
    import pynvml

    found = []
    for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        with contextlib.suppress(pynvml.NVMLError_NotFound):  # there may be fewer
            found.append(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index)))
    return found


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _packages() -> str:
    return "".join(sorted(f"{found.name}=={found.version}\n" for found in importlib.metadata.distributions()))
