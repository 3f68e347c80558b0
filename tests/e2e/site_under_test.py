"""What the e2e tests hold in their hands: a lab, and site.yml run on it as a user would."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.output import of_interest

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / ".cache/tests"
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.M)


@dataclass(frozen=True)
class Run:
    """One ansible-playbook run: its exit status, its whole output, and PLAY RECAP as host → changed tasks."""

    status: int
    output: str
    seconds: float
    changed: dict[str, int] = field(default_factory=dict)

    @property
    def tail(self) -> str:
        """What failed, and the last lines, for a failed assertion's message."""
        return of_interest(self.output)


@dataclass(frozen=True)
class Lab:
    """A lab by name; every call goes through script/lab, as a user's would."""

    name: str

    def __call__(self, *arguments: str, timeout: float = 600, check: bool = True) -> subprocess.CompletedProcess[str]:
        verb, *rest = arguments
        done = subprocess.run(
            [str(ROOT / "script/lab"), verb, "--lab", self.name, *rest], capture_output=True, text=True, timeout=timeout
        )
        said = f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
        assert not check or done.returncode == 0, f"script/lab {' '.join(arguments)}: {said}"
        return done

    def shell(self, host: str, command: str, check: bool = True, timeout: float = 120) -> str:
        """Run a shell command on a host and return its output."""
        return self("shell", host, "--", "sh", "-c", command, check=check, timeout=timeout).stdout

    @property
    def inventory(self) -> Path:
        """Where `up` wrote the lab's inventory."""
        return Path(json.loads(self("inventory", "--json").stdout)["path"])


def changed_inventory(lab: Lab, directory: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The lab's inventory after a change of its groups, in a directory of its own (group_vars come along)."""
    target = directory / "inventory"
    shutil.copytree(lab.inventory, target)
    hosts = target / "hosts.yml"
    groups = yaml.safe_load(hosts.read_text())
    change(groups)
    hosts.write_text(yaml.safe_dump(groups))
    return target


@dataclass(frozen=True)
class Report:
    """A report for programs, as it lies in artifacts/."""

    content: dict[str, Any]

    def checks(self, status: str = "") -> list[dict[str, str]]:
        """Its checks, of all hosts or only those of one status, each with its host's name."""
        checks = [{"host": name, **check} for name, host in self.content["hosts"].items() for check in host["checks"]]
        return [check for check in checks if status in ("", check["status"])]

    @property
    def proofs(self) -> dict[str, str]:
        """What was observed by checks that found all well, by their names."""
        return {check["name"]: check["observed"] for check in self.checks("ok")}

    @property
    def endpoints(self) -> dict[str, str]:
        """Where people find the services."""
        return dict(self.content["endpoints"])


@dataclass(frozen=True)
class Site:
    """site.yml and the other playbooks, on one lab."""

    lab: Lab

    def play(self, *arguments: str, playbook: str = "site.yml", inventory: Path | None = None) -> Run:
        """Run a playbook, or several apart by spaces, to the end; 25 minutes at most."""
        process = self.start(*arguments, playbook=playbook, inventory=inventory)
        began = time.monotonic()
        output, _ = process.communicate(timeout=1500)
        changed = {match[1]: int(match[3]) for match in RECAP.finditer(output)}
        return Run(process.returncode, output, time.monotonic() - began, changed)

    def start(self, *arguments: str, playbook: str, inventory: Path | None = None) -> subprocess.Popen[str]:
        """Begin a playbook in a process group of its own and return at once; LOGS keeps all that it says."""
        program = str(ROOT / ".venv/bin/ansible-playbook")
        LOGS.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            [program, *playbook.split(), "-i", str(inventory or self.lab.inventory), *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env=os.environ
            | {
                "ANSIBLE_FORCE_COLOR": "0",
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_LOG_PATH": str(self.log),
            },
        )

    @property
    def log(self) -> Path:
        """All that the runs on this lab said."""
        return LOGS / f"{self.lab.name}.log"

    def kill_at_task(self, number: int) -> str:
        """Start site.yml, SIGKILL all of its processes when its task of that number begins; return its name."""
        return self.kill(lambda seen, _: seen == number, playbook="site.yml")

    def kill(self, reached: Callable[[int, str], bool], *arguments: str, playbook: str, later: float = 0) -> str:
        """Start a playbook and SIGKILL all of its processes at the task, by number and name, that is `reached`.

        later  how many seconds into that task

        Returns the task's name, or "the end".
        """
        process = self.start(*arguments, playbook=playbook)
        assert process.stdout is not None
        seen, name = 0, "the end"
        for line in process.stdout:
            if line.startswith("TASK ["):
                seen, name = seen + 1, line.strip(" *\n")
                if reached(seen, name):
                    time.sleep(later)
                    os.killpg(process.pid, signal.SIGKILL)
                    break
        else:
            name = "the end"
        process.stdout.close()
        process.wait(timeout=60)
        return name

    @property
    def artifacts(self) -> Path:
        """Where this site's kubeconfig and report lie."""
        return ROOT / "artifacts" / self.lab.name

    def report(self) -> Report:
        """The newest report."""
        return Report(json.loads((self.artifacts / "report.json").read_text()))

    def checks(self, status: str = "") -> list[dict[str, str]]:
        """The checks of the newest report, of all hosts or only those of one status, each with its host's name."""
        return self.report().checks(status)

    def kubectl(self, *arguments: str, check: bool = True, timeout: float = 60) -> str:
        """Run kubectl on the first control-plane host."""
        return self.lab(
            "shell", "n1", "--", "/snap/bin/microk8s", "kubectl", *arguments, check=check, timeout=timeout
        ).stdout


def await_that(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until the condition holds, at most so many seconds; `what` says what was missing otherwise."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.5)
