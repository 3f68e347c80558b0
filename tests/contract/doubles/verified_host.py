"""A host of the double with all that nvidia_gpu_verify looks at: PCI, /proc, /dev, a journal, NVML and CUDA."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest import mock

from lab import packages, paths
from lab.doubles.nvidia import hardware
from lab.doubles.nvidia.module import nvidia
from tests.contract.doubles.nvidia_host import Host

# The module's worker, looking below a host's folder instead of at this machine: a request a line, an answer a line.
# Each look at NVML and CUDA is a child's, so that one process serves one host after the other.
PROGRAM = """
import functools, json, os, sys
from pathlib import Path
import ansible.module_utils
ansible.module_utils.__path__.append(sys.argv[1])
from ansible.module_utils.groundwork.command import Output
from ansible.module_utils.groundwork.gpu import kernel, pci
from ansible.module_utils.groundwork.gpu.verify import nodes, worker, xid
look_at = {module: module.observe for module in (kernel, pci, nodes)}
read = xid.read
for line in sys.stdin:
    asked = json.loads(line)
    os.environ.update(asked["environment"])
    root, dev = Path(asked["root"]), Path(asked["dev"])
    kernel.observe = lambda *_: look_at[kernel](root / "proc")
    pci.observe = functools.partial(look_at[pci], root / "sys")
    nodes.observe = functools.partial(look_at[nodes], root / "proc", dev)
    xid.read = functools.partial(read, root=root)
    journal = Output(0, (root / "run/log/journal/0/lines").read_text())
    runs = [worker.verify(asked["given"], lambda *_: journal) for _ in range(asked["times"])]
    print(json.dumps([[check.to_dict() for check in checks] for checks in runs]), flush=True)
"""
Check = dict[str, str]


class Worker:
    """The worker of nvidia_gpu_verify, at work for as long as it is entered."""

    def __init__(self, driver: Path) -> None:
        self._command = [sys.executable, "-c", PROGRAM, str(paths.PROJECT / "module_utils")]
        self._environment = {**os.environ, "LD_LIBRARY_PATH": str(driver)}

    def __enter__(self) -> Worker:
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._process.communicate(timeout=10)

    def ask(self, **request: object) -> Any:
        """Its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the worker ended; its error is above"
        return json.loads(answer)


class VerifiedHost:
    """Its faults are those of hardware.py, on `etc`."""

    def __init__(self, host: Host, worker: Worker) -> None:
        self._host, self._worker = host, worker
        self.etc, self.dev = host.etc, host.dev
        self._root = host.etc / "nvidia"  # its proc/ and sys/ are what the module and the bus show
        self._journal = self._root / "run/log/journal/0"
        self._journal.mkdir(parents=True)
        (self._journal / "system.journal").touch()
        self.forget()
        self._load()

    def _load(self) -> None:
        """What loading the module brings; what was set is forgotten, and persistence mode set again by its daemon."""
        own: dict[str, Any] = {"VERSION": packages.driver_versions()[0], "STATE": self.etc / hardware.STATE}
        with mock.patch.multiple(nvidia, TREE=self._root / "proc/driver", DEVICES=self.dev, **own):
            gpus = nvidia.initialise()
            nvidia.write_files(gpus)
            nvidia.make_nodes(gpus)
        for index in range(len(gpus)):
            hardware.put(self.etc, index, persistence=1)

    def log(self, line: str) -> None:
        """The kernel says something."""
        with (self._journal / "lines").open("a") as lines:
            lines.write(json.dumps({"MESSAGE": line}) + "\n")

    def forget(self) -> None:
        """A boot's log begins anew."""
        (self._journal / "lines").write_text("")

    def runs(self, times: int, **declared: object) -> list[list[Check]]:
        """The verdicts of so many runs of the worker."""
        found: list[list[Check]] = self._worker.ask(
            root=str(self._root),
            dev=str(self.dev),
            environment={"NVML_DOUBLE_STATE": str(self.etc / hardware.STATE), "NVML_DOUBLE_DEV": str(self.dev)},
            times=times,
            given={"declaration_only": False, "timeout_seconds": 5.0, **declared},
        )
        return found

    def verify(self, **declared: object) -> dict[str, Check]:
        """The verdicts of one run by their names, without what all names begin with."""
        (checks,) = self.runs(1, **declared)
        return {check["name"].removeprefix("nvidia_gpu."): check for check in checks}

    def smi(self, *words: str) -> None:
        """What nvidia-smi changes."""
        status, said = self._host.smi(*words)
        assert status == 0, said
