"""The tiers of tests, run in order: `script/test [TIER...] [-k EXPRESSION]`.

  check      linters, types, contract and unit tests; needs no lab (3 minutes)
  ml-stack   types and tests of ml-stack, in its own virtual environment; needs no lab (8 minutes)
  molecule   roles alone on lab hosts: those changed in the last day and a third of the others, by turns (15 minutes)
  e2e        one whole site on three lab hosts, faults sampled by a seed (25 minutes)
  soak       everything repeated and sampled elsewhere, in full; runs only when named

Without a tier: all but soak. What labs are made of is built before the first tier
that has one, where the cache lacks it (half an hour the first time).
"""

from __future__ import annotations

import argparse
import datetime
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.output import of_interest

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv/bin"
RESULTS = ROOT / ".cache/tests"
LAST_START_SECONDS = 8 * 60
"""After this long the molecule tier starts no further role, so that it keeps its budget of 15 minutes."""


@dataclass(frozen=True)
class Outcome:
    """What one test came to: passed, failed or skipped, with the reason."""

    name: str
    status: str
    reason: str = ""


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen tiers; 0 when nothing failed, 1 otherwise."""
    options = _parser().parse_args(arguments)
    os.environ["PATH"] = f"{BIN}:{os.environ['PATH']}"  # molecule starts Ansible's programs by their names
    RESULTS.mkdir(parents=True, exist_ok=True)
    rows, outcomes = [], []
    for tier in _with_build(options.tiers or [tier for tier in TIERS if tier != "soak"]):
        print(f"\n=== {tier}", flush=True)
        began = time.monotonic()
        found = STEPS[tier](options.k)
        rows.append((tier, time.monotonic() - began, found))
        outcomes += found
    _summarise(rows)
    print(f"\n{_counted(outcomes)}")
    statuses = {outcome.status for outcome in outcomes}
    return 0 if "passed" in statuses and "failed" not in statuses else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="script/test", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tiers", nargs="*", choices=[[], *TIERS], metavar="TIER", help=", ".join(TIERS))
    parser.add_argument("-k", metavar="EXPRESSION", default="", help="only tests (or roles, in molecule) that match")
    return parser


def _with_build(tiers: list[str]) -> list[str]:
    """The tiers, and before the first that has a lab what labs are made of: people see what takes the time."""
    first = next((place for place, tier in enumerate(tiers) if tier not in WITHOUT_LAB), len(tiers))
    return [*tiers[:first], *(["build"] if tiers[first:] else []), *tiers[first:]]


def _build(_expression: str) -> list[Outcome]:
    """A failed build is told by its own words; the tiers after it say what they lack."""
    status = subprocess.run([str(ROOT / "script/lab"), "build"], cwd=ROOT).returncode
    return [Outcome("script/lab build", "failed", f"exit status {status}")] if status else []


def _check(expression: str) -> list[Outcome]:
    if expression:
        return _pytest("check", ["tests/unit", "tests/contract"], expression)
    status = subprocess.run([str(ROOT / "script/check")], cwd=ROOT).returncode
    return [*_read(RESULTS / "check.xml"), Outcome("script/check", "failed" if status else "passed")]


def _ml_stack(expression: str) -> list[Outcome]:
    """Its environment is its own: PyTorch and Ray are nothing that the toolkit's tests need."""
    folder = ROOT / "ml-stack"
    status = subprocess.run([str(folder / "setup"), "--test"], cwd=folder).returncode
    if status:
        return [Outcome("ml-stack/setup", "failed", f"exit status {status}")]
    status = subprocess.run([".venv/bin/mypy", "-p", "mlstack"], cwd=folder).returncode
    outcomes = _pytest("ml-stack", ["tests"], expression, folder)
    return [*outcomes, Outcome("ml-stack mypy", "failed" if status else "passed")]


def _molecule(expression: str) -> list[Outcome]:
    began, outcomes = time.monotonic(), []
    roles = [path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")]
    for role in sorted(roles, key=lambda role: (_days_until_its_turn(role), role)):
        reason = _not_its_turn(role) if not expression else "" if expression in role else f"not {expression!r}"
        if not (reason or expression) and time.monotonic() - began > LAST_START_SECONDS:
            reason = f"no time was left in this tier; `script/test molecule -k {role}` runs it"
        outcomes.append(Outcome(f"molecule {role}", "skipped", reason) if reason else _one_role(role))
    return outcomes


def _one_role(role: str) -> Outcome:
    began = time.monotonic()
    log = RESULTS / f"molecule-{role}.log"
    command = [str(BIN / "molecule"), "test", "-s", role]
    with log.open("w") as output:
        failed = subprocess.run(command, cwd=ROOT, stdout=output, stderr=output).returncode
        if failed:  # molecule keeps the hosts where its clean-up failed; what comes next needs their memory
            subprocess.run([command[0], "destroy", "-s", role], cwd=ROOT, stdout=output, stderr=output)
    word = "failed" if failed else "passed"
    print(f"{time.monotonic() - began:7.1f} s  molecule {role}: {word}", flush=True)
    if failed:
        print(of_interest(log.read_text(errors="replace")), flush=True)
    return Outcome(f"molecule {role}", word, f"see {log.relative_to(ROOT)}" if failed else "")


def _not_its_turn(role: str) -> str:
    """Why a role waits for another day: it did not change, and the day's third of the roles is another one."""
    command = ["git", "log", "--since=1.day", "--name-only", "--format="]
    changed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if f"roles/{role}/" in changed or f"molecule/{role}/" in changed:
        return ""
    days = _days_until_its_turn(role)
    return f"unchanged for a day; its turn comes in {days} day(s)" if days else ""


def _days_until_its_turn(role: str) -> int:
    """0, 1 or 2: the roles take turns by thirds."""
    return (sum(map(ord, role)) - datetime.date.today().toordinal()) % 3


def _e2e(expression: str) -> list[Outcome]:
    return _pytest("e2e", ["tests/e2e", "-x"], expression)


def _soak(expression: str) -> list[Outcome]:
    return _pytest("soak", ["tests/soak", "tests/e2e", "--in-full"], expression)


def _pytest(tier: str, paths: list[str], expression: str, folder: Path = ROOT) -> list[Outcome]:
    result = RESULTS / f"{tier}.xml"
    result.unlink(missing_ok=True)
    chosen = ["-k", expression] if expression else []
    shown = ["-v", "-s", "--durations=10", f"--junitxml={result}"]
    status = subprocess.run([str(folder / ".venv/bin/pytest"), *paths, *chosen, *shown], cwd=folder).returncode
    outcomes = _read(result)
    crashed = status not in (0, 1, 5) and not any(outcome.status == "failed" for outcome in outcomes)
    return [*outcomes, Outcome(f"pytest {tier}", "failed", f"exit status {status}")] if crashed else outcomes


def _read(junit: Path) -> list[Outcome]:
    """The outcomes in a JUnit file as pytest writes it."""
    if not junit.exists():
        return []
    return [_outcome(case) for case in ET.parse(junit).getroot().iter("testcase")]


def _outcome(case: ET.Element) -> Outcome:
    name = f"{case.get('classname')}::{case.get('name')}"
    for kind, status in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
        found = case.find(kind)
        if found is not None:
            return Outcome(name, status, found.get("message", ""))
    return Outcome(name, "passed")


def _summarise(rows: list[tuple[str, float, list[Outcome]]]) -> None:
    print("\n=== summary")
    for tier, seconds, outcomes in rows:
        print(f"{tier:10} {seconds / 60:5.1f} min  {_counted(outcomes)}")
        for outcome in outcomes:
            if outcome.status != "passed":
                reason = outcome.reason.splitlines()[0][:160] if outcome.reason else ""
                print(f"    {outcome.status}: {outcome.name}  {reason}")


def _counted(outcomes: list[Outcome]) -> str:
    """Return the counts as the last line of CI shows them, `N passed, N failed, N skipped`."""
    statuses = [outcome.status for outcome in outcomes]
    return ", ".join(f"{statuses.count(status)} {status}" for status in ("passed", "failed", "skipped"))


TIERS: dict[str, Callable[[str], list[Outcome]]] = {
    "check": _check, "ml-stack": _ml_stack, "molecule": _molecule, "e2e": _e2e, "soak": _soak,
}  # fmt: skip
WITHOUT_LAB = ("check", "ml-stack")
STEPS = {"build": _build, **TIERS}

if __name__ == "__main__":
    sys.exit(main())
