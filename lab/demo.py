"""The main job on one machine, from nothing: `script/demo`.

Builds what the lab is made of, raises three hosts, runs `ansible-playbook site.yml -i inventories/lab` on them and
shows the report. Interrupt it whenever you like: the next run goes on where this one stopped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from lab import build, cli, machine
from lab.errors import LabError
from lab.progress import step

ROOT = Path(__file__).resolve().parent.parent
PLAYBOOK = [str(ROOT / ".venv/bin/ansible-playbook"), "site.yml", "-i", "inventories/lab"]
REPORT = ROOT / "artifacts/lab/report.json"
NEXT = """
What to try next:
  script/lab shell n1 -- /snap/bin/microk8s kubectl get nodes,pods -A     look at the cluster
  .venv/bin/ansible-playbook site.yml -i inventories/lab                  run it again: nothing changes
  script/lab fault gpu-lost n2 0                                          break a GPU, then run playbooks/verify.yml

`script/demo down` removes the lab."""
LEFT = """
Removed: hosts, mirror, network, mounts, rules. Left on this machine, each removed by the command beside it:
  the cache of built programs, images and packages    rm -rf {cache}
  the virtual environment and the reports             rm -rf .venv artifacts
  Debian packages (lab/machine-packages.txt)          apt-get remove those you do not need, then apt-get autoremove"""


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; the exit status is 0, 1 (the site failed) or 2 (it could not start)."""
    parser = argparse.ArgumentParser(
        prog="script/demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", nargs="?", choices=("up", "down"), default="up", help="`down` removes the lab")
    verb = parser.parse_args(arguments).verb
    try:
        return _down() if verb == "down" else _up()
    except LabError as error:
        print(f"error: {error.message}\nremedy: {error.remedy}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. Run script/demo again and it goes on from here.", file=sys.stderr)
        return 130


def _up() -> int:
    began = time.monotonic()
    machine.check(3)
    with step("Build what the lab is made of (minutes at the first time, then seconds)"):
        build.build()
    with step("Raise three hosts and their mirror"):
        if status := cli.main(["up"]):
            return status
        if status := cli.main(["share", "n1"]):
            return status
    with step("ansible-playbook site.yml -i inventories/lab"):
        status = subprocess.run(PLAYBOOK, cwd=ROOT).returncode
    _show_report(time.monotonic() - began)
    if status == 0:
        print(NEXT)
    return 1 if status else 0


def _down() -> int:
    from lab.paths import CACHE

    status = cli.main(["down"])
    if status == 0:
        print(LEFT.format(cache=CACHE))
    return status


def _show_report(seconds: float) -> None:
    """Print the verdict and where the report lies."""
    if not REPORT.exists():
        print("\nThere is no report: site.yml stopped before its last phase; see the message above.", file=sys.stderr)
        return
    report = json.loads(REPORT.read_text())
    checks = [check for host in report["hosts"].values() for check in host["checks"]]
    failed = [check for check in checks if check["status"] == "failed"]
    print(f"\n{len(checks) - len(failed)} of {len(checks)} checks hold, after {seconds / 60:.1f} minutes.")
    for check in failed:
        print(f"  FAILED {check['name']}: {check['observed']}\n         {check['remedy']}")
    print(f"The report: {REPORT.with_suffix('.html').relative_to(ROOT)} (and {REPORT.name} for machines)")


if __name__ == "__main__":
    sys.exit(main())
