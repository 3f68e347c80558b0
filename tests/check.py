"""What `script/check` runs: all checks side by side, each with its seconds, and the whole output of those that fail."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv/bin"
RESULTS = ROOT / ".cache/tests"
TYPED = ("library", "lab", "groundwork", "examples", "tests")
"""module_utils lies in tests/typing too, by the name that Ansible gives it."""
SHELL_SCRIPTS = ("script", ".ci", "ml-stack")


@dataclass(frozen=True)
class Result:
    """How one check ended."""

    name: str
    status: int
    seconds: float
    output: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks that are named, or all; 0 where all passed."""
    commands = _commands()
    parser = argparse.ArgumentParser(prog="script/check", description=__doc__)
    parser.add_argument("checks", nargs="*", choices=[[], *commands], metavar="CHECK", help=", ".join(commands))
    chosen = parser.parse_args(arguments).checks or list(commands)
    RESULTS.mkdir(parents=True, exist_ok=True)
    # One more than there are cores: ansible-lint waits much for programs that it starts.
    with ThreadPoolExecutor(max_workers=(os.cpu_count() or 1) + 1) as pool:
        done = [
            _show(task.result()) for task in as_completed([pool.submit(_run, name, commands[name]) for name in chosen])
        ]
    failed = [result.name for result in done if result.status]
    print(f"\nfailed: {', '.join(failed)}" if failed else f"\nall {len(done)} checks passed")
    return 1 if failed else 0


def _commands() -> dict[str, list[str]]:
    """The checks by their names, the longest first."""
    typed = [path for path in TYPED if list((ROOT / path).rglob("*.py"))]
    return {
        "ansible-lint": ["ansible-lint", "--offline", "--strict"],
        "pytest": ["pytest", "-q", f"--junitxml={RESULTS / 'check.xml'}", "tests/contract", "tests/unit"],
        "mypy": ["mypy", *typed],
        "yamllint": ["yamllint", "--strict", "--config-file=.config/yamllint.yml", "."],
        "shellcheck": ["shellcheck", *_shell_scripts()],
        "ruff": ["ruff", "check", ".", "ml-stack"],
        "ruff format": ["ruff", "format", "--check", ".", "ml-stack"],
        "syntax": ["ansible-playbook", "--syntax-check", "-i", "inventories/example", "site.yml"],
        "generate": ["python", "-m", "tests.generate", "--check"],
    }


def _shell_scripts() -> list[str]:
    """The files of our script folders that begin with a shell's name."""
    files = sorted(path for folder in SHELL_SCRIPTS for path in (ROOT / folder).iterdir() if path.is_file())
    return [
        str(path.relative_to(ROOT))
        for path in files
        if path.read_text().startswith(("#!/bin/sh", "#!/usr/bin/env bash"))
    ]


def _run(name: str, command: Sequence[str]) -> Result:
    began = time.monotonic()
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Result(name, done.returncode, time.monotonic() - began, done.stdout)


def _show(result: Result) -> Result:
    if result.status:
        print(result.output.rstrip(), flush=True)
    print(f"{result.seconds:7.1f} s  {result.name}: {'failed' if result.status else 'passed'}", flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
